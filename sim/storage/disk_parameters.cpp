#include "sim/storage/disk_parameters.h"

#include <algorithm>
#include <stdexcept>

namespace xenfs::sim {

std::vector<std::string> disk_kinds() {
    return {"hdd", "nvme", "ram", "sata_ssd"};
}

DiskParameters disk_parameters(const CostModel& costs, std::string_view kind,
                               std::uint64_t capacity_bytes, bool spins_down) {
    if (kind == "ssd") kind = "sata_ssd";
    if (kind != "hdd" && kind != "sata_ssd" && kind != "nvme" && kind != "ram") {
        throw std::invalid_argument("no disk '" + std::string(kind) +
                                    "'; there are: hdd, nvme, ram, sata_ssd");
    }
    const std::string table = "disk." + std::string(kind == "sata_ssd" ? "ssd" : kind) + ".";
    DiskParameters disk;
    disk.name = kind;
    disk.sectors = capacity_bytes / sector_bytes;
    disk.parallel = static_cast<unsigned>(costs.count(table + "queue_depth"));
    disk.sequential_latency_ns = costs.time(table + "sequential_latency");
    disk.read_bytes_per_s = static_cast<std::uint64_t>(costs.bandwidth(table + "bandwidth_read"));
    disk.write_bytes_per_s = static_cast<std::uint64_t>(costs.bandwidth(table + "bandwidth_write"));
    disk.active_watts = costs.value(table + "power_active");
    disk.idle_watts = disk.standby_watts = costs.value(table + "power_idle");
    const Nanoseconds latency = costs.time(table + "latency");
    if (kind != "hdd") {
        disk.latency_ns = latency;
        return disk;
    }
    disk.rotation_ns = costs.time("disk.hdd.rotation");
    disk.seek_min_ns = costs.time("disk.hdd.seek_track");
    const Nanoseconds mean_seek = latency - disk.rotation_ns / 2;
    disk.seek_max_ns =
        disk.seek_min_ns + std::max<Nanoseconds>(0, mean_seek - disk.seek_min_ns) * 15 / 8;
    disk.standby_watts = costs.value("disk.hdd.power_standby");
    disk.spin_up_watts = costs.value("disk.hdd.power_spin_up");
    disk.spin_down_watts = disk.standby_watts;  // the motor is off, the platters run out
    disk.spin_up_ns = costs.time("disk.hdd.spin_up_time");
    disk.spin_down_ns = costs.time("disk.hdd.spin_down_time");
    if (spins_down) disk.spin_down_after_ns = costs.time("disk.hdd.spin_down_after");
    return disk;
}

}  // namespace xenfs::sim
