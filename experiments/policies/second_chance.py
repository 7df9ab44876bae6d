"""This example of an eviction policy in Python is FIFO with a second chance for a page that was hit."""
import collections

from xenfs_lab.policies import EvictionPolicy


class SecondChance(EvictionPolicy, name="second-chance"):
    def __init__(self):
        self.queue = collections.OrderedDict()  # slot -> hit since it was last passed over; oldest first

    def insert(self, slot, key):
        self.queue[slot] = False

    def touch(self, slots):
        for slot in slots:
            self.queue[slot] = True

    def take_victim(self):
        while self.queue:
            slot, hit = self.queue.popitem(last=False)
            if not hit:
                return slot
            self.queue[slot] = False
        return None

    def restore(self, slot):
        self.queue[slot] = False
        self.queue.move_to_end(slot, last=False)

    def remove(self, slot):
        del self.queue[slot]
