#include "sim/scenario/schema.h"

namespace xenfs::sim {

const settings::Table<WorkloadSpec>& workload_settings() {
    using namespace settings;
    using W = WorkloadSpec;
    using Users = std::vector<std::string>;
    const Users captures = {"kbuild", "capture-replay"};
    static const Table<W> table = {
        choice("kind", &W::kind,
               {"capture-replay", "fio", "idle", "iozone", "kbuild", "packets", "pages", "stealer"},
               "What the guests do.")
            .required(),
        list(Kind::path, "captures", &W::captures, {},
             "Capture files; guest i runs the i-th, beginning again after the last.")
            .only(captures)
            .required(),
        count("jobs", &W::jobs, {1, 256}, "make's -j in each guest.").only({"kbuild"}),
        choice("order", &W::order, {"graph", "recorded"},
               "graph: by dependencies, -j at once; recorded: as it was captured.")
            .only({"kbuild"}),
        fraction("fraction", &W::fraction, {1e-6, 1},
                 "The share of the jobs that is run, from the start.")
            .only(captures),
        fraction("variation", &W::variation, {0, 1},
                 "Share of the written files whose content differs from guest to guest.")
            .only(captures),
        fraction("text_touched", &W::text_touched, {0, 1},
                 "Share of a mapped program's pages that is touched.")
            .only(captures),
        fraction("cpu_scale", &W::cpu_scale, {0, 1000}, "Recorded CPU time is multiplied by this.")
            .only(captures),
        flag("verify", &W::verify, "Check each page that is read against the recording.")
            .only(captures),
        list(Kind::text, "private", &W::private_prefixes, {},
             "Directories of which each guest has its own; without it, those in which the "
             "captured commands write.")
            .or_none()
            .only(captures),
        duration("stagger", &W::stagger_ns, {0, 1000 * hours},
                 "Guest i starts i times this later."),
        text("options", &W::options, "iozone's command line.").only({"iozone"}),
        list(Kind::count, "batches", &W::batches, {1, 4096},
             "Pages a request (packets: packets a notification), one measurement each.")
            .only({"pages", "packets"}),
        size("file", &W::file_bytes, {4 * kib, tib}, "Size of the file that is read.")
            .only({"pages", "stealer", "fio"}),
        count("passes", &W::passes, {1, 1000}, "Passes over the file.").only({"pages"}),
        flag("warm", &W::warm,
             "A pass that is not counted comes first (fio: it fills the host's cache, not the "
             "guest's).")
            .only({"pages", "fio"}),
        choice("access", &W::access, {"map", "read", "write"},
               "map: made accessible; read, write: whole pages by system call.")
            .only({"pages", "fio"}),
        choice("pattern", &W::pattern, {"random", "sequential", "zipf"},
               "Order of the operations; random: each block once before any comes again; zipf: "
               "some more often than others, the same in all guests.")
            .only({"fio"}),
        fraction("zipf", &W::zipf, {0, 10}, "With pattern zipf: the exponent.").only({"fio"}),
        size("block", &W::block_bytes, {4 * kib, 16 * mib}, "Size of an operation, whole pages.")
            .only({"fio"}),
        count("depth", &W::depth, {1, 1024},
              "Tasks in each guest, each with one operation under way.")
            .only({"fio"}),
        flag("direct", &W::direct, "O_DIRECT.").only({"fio"}),
        count("operations", &W::operations, {1, 1e10}, "Operations of each guest that are counted.")
            .only({"fio"}),
        count("warm_operations", &W::warm_operations, {0, 1e10},
              "Operations of each guest before those.")
            .only({"fio"}),
        duration("op_cpu", &W::op_cpu_ns, {0, hours},
                 "CPU time of the program itself for each operation.")
            .only({"fio"}),
        choice("mechanism", &W::mechanism, {"copy", "flip", "map", "reuse"},
               "How a packet reaches the guest.")
            .only({"packets"}),
        count("packets", &W::packets, {1, 1e9}, "Packets of each measurement.").only({"packets"}),
        size("packet", &W::packet_bytes, {1, 4 * kib}, "Size of a packet.").only({"packets"}),
        duration("stack", &W::stack_ns, {0, hours},
                 "CPU time that each side spends on a packet besides: drivers, bridge, TCP/IP.")
            .only({"packets"}),
        count("thieves", &W::thieves, {0, 64},
              "Guests, from the first, that map pages and never release them.")
            .only({"stealer"}),
        choice("steal", &W::steal, {"neighbours", "own"},
               "What a thief maps: a file of its own, or the neighbours' files.")
            .only({"stealer"}),
        size("working_set", &W::working_set_bytes, {4 * kib, tib},
             "What each honest neighbour reads again and again.")
            .only({"stealer"}),
        duration("think", &W::think_ns, {0, hours}, "A neighbour's pause between reads.")
            .only({"stealer"}),
        duration("duration", &W::duration_ns, {us, 1000 * hours}, "How long it goes on.")
            .only({"stealer", "idle"}),
    };
    return table;
}

}  // namespace xenfs::sim
