// A page cache is replayed over numpy arrays of page numbers, or over a trace file.

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <vector>

#include "bindings/registry.h"
#include "model/cache/page_cache.h"
#include "model/policies/eviction/registry.h"
#include "sim/scenario/error.h"
#include "workloads/replay/replay.h"

namespace py = pybind11;

namespace xenfs::bindings {
namespace {

using Pages = py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast>;

cache::PageCache make_cache(std::uint32_t cache_pages, const std::string& eviction) {
    if (cache_pages < 1 || cache_pages > cache::kMaxPages) {
        throw sim::InputError("cache_pages: 1 to " + std::to_string(cache::kMaxPages) +
                              " are possible, not " + std::to_string(cache_pages));
    }
    try {
        return cache::PageCache(policies::make_eviction_policy(eviction), cache_pages);
    } catch (const policies::UnknownPolicy& error) {
        throw sim::InputError(std::string("eviction: ") + error.what());
    }
}

// Returns for each request whether it hit. The high 32 bits of a page number are its file.
py::array_t<bool> replay(const Pages& pages, std::uint32_t cache_pages,
                         const std::string& eviction) {
    if (pages.ndim() != 1) throw sim::InputError("pages: an array of one dimension is wanted");
    cache::PageCache cache = make_cache(cache_pages, eviction);
    const auto requests = static_cast<std::size_t>(pages.size());
    py::array_t<bool> hits(static_cast<py::ssize_t>(requests));
    const std::uint64_t* in = pages.data();
    bool* out = hits.mutable_data();
    {
        py::gil_scoped_release others_may_run;
        for (std::size_t i = 0; i < requests; ++i) {
            cache::PageKey key;
            key.file = static_cast<std::uint32_t>(in[i] >> 32);
            key.page = static_cast<std::uint32_t>(in[i]);
            out[i] = cache.access(std::span<const cache::PageKey>(&key, 1)) == 0;
        }
    }
    return hits;
}

py::dict replay_trace(const std::string& file, const std::string& format, std::uint32_t cache_pages,
                      const std::string& eviction) {
    cache::PageCache cache = make_cache(cache_pages, eviction);
    workloads::replay::ReplayResult result;
    {
        py::gil_scoped_release others_may_run;
        const auto reader = workloads::replay::open_trace(file, format);
        result = workloads::replay::replay(*reader, cache);
    }
    py::dict out;
    out["requests"] = result.requests;
    out["misses"] = result.misses;
    out["miss_ratio"] = result.miss_ratio();
    out["ns_per_request"] = result.ns_per_request();
    return out;
}

}  // namespace

void add_replay(py::module_& module) {
    module.def("replay", &replay, py::arg("pages"), py::arg("cache_pages"), py::arg("eviction"));
    module.def("replay_trace", &replay_trace, py::arg("file"), py::arg("format"),
               py::arg("cache_pages"), py::arg("eviction"));
}

}  // namespace xenfs::bindings
