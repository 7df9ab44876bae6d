"""This example of a transfer policy in Python maps what is used again and copies what is not."""
from xenfs_lab.policies import TransferPolicy


class MapIfReused(TransferPolicy, name="map-if-reused"):
    def decide(self, use, pages, expected_uses, copy_is_kept):
        return "map" if expected_uses > 2 else "copy"
