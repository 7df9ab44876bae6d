// Each adapter holds one Python object and takes the interpreter's lock for each call. What the
// object raises continues as a C++ exception with Python's own text.
#include "bindings/policies.h"

#include <pybind11/stl.h>

#include <stdexcept>

#include "model/policies/eviction/registry.h"
#include "model/policies/transfer/policy.h"
#include "sim/machine/child.h"

namespace py = pybind11;

namespace xenfs::bindings {
namespace {

std::uint64_t number_of(cache::PageKey key) {
    return std::uint64_t{key.file} << 32 | key.page;
}

/// A Python object whose last reference a thread without the lock may drop. It is never dropped in
/// a run's child, which ends without destructors.
class Object {
  public:
    explicit Object(py::object object) : object_(std::move(object)) {}
    ~Object() {
        py::gil_scoped_acquire lock;
        object_ = py::object();
    }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;

    template <class... Args>
    py::object call(const char* method, Args&&... args) const {
        return object_.attr(method)(std::forward<Args>(args)...);
    }

  private:
    py::object object_;
};

class PythonEviction final : public policies::EvictionPolicy {
  public:
    PythonEviction(std::string name, py::object object)
        : name_(std::move(name)), object_(std::move(object)) {}
    std::string_view name() const override { return name_; }

    void attach(policies::PageNodes& nodes, std::uint32_t capacity_pages) override {
        nodes_ = &nodes;
        tell("attach", capacity_pages);
    }
    void set_capacity(std::uint32_t capacity_pages) override {
        tell("set_capacity", capacity_pages);
    }
    void missed(policies::PageKey key) override { tell("missed", number_of(key)); }
    void insert(policies::Slot slot) override {
        held_.resize(std::max<std::size_t>(held_.size(), slot + 1));
        held_[slot] = true;
        tell("insert", slot, number_of((*nodes_)[slot].key));
    }
    void touch(std::span<const policies::Slot> slots) override {
        py::gil_scoped_acquire lock;
        py::list list(slots.size());
        for (std::size_t i = 0; i < slots.size(); ++i) list[i] = py::int_(slots[i]);
        object_.call("touch", list);
    }
    policies::Slot take_victim() override {
        py::gil_scoped_acquire lock;
        const py::object answer = object_.call("take_victim");
        if (answer.is_none()) return policies::kNoSlot;
        const auto slot = answer.cast<std::uint64_t>();
        if (slot >= held_.size() || !held_[slot]) {
            throw std::runtime_error("eviction policy '" + name_ + "': take_victim() answered " +
                                     std::to_string(slot) + ", a slot that it does not hold");
        }
        held_[slot] = false;
        return static_cast<policies::Slot>(slot);
    }
    void evicted(policies::Slot slot) override {
        tell("evicted", slot, number_of((*nodes_)[slot].key));
    }
    void restore(policies::Slot slot) override {
        held_[slot] = true;
        tell("restore", slot);
    }
    void remove(policies::Slot slot) override {
        held_[slot] = false;
        tell("remove", slot);
    }

  private:
    template <class... Args>
    void tell(const char* method, Args... args) const {
        py::gil_scoped_acquire lock;
        object_.call(method, args...);
    }

    std::string name_;
    Object object_;
    policies::PageNodes* nodes_ = nullptr;
    std::vector<bool> held_;  ///< by slot: which pages take_victim() may answer
};

const char* name_of(policies::TransferRequest::Use use) {
    using Use = policies::TransferRequest::Use;
    switch (use) {
        case Use::read:
            return "read";
        case Use::write:
            return "write";
        case Use::mmap_read:
            return "mmap_read";
        case Use::mmap_write:
            return "mmap_write";
    }
    return "";
}

class PythonTransfer final : public policies::TransferPolicy {
  public:
    PythonTransfer(std::string name, py::object object, const host::Capabilities& can)
        : name_(std::move(name)), object_(std::move(object)), flip_supported_(can.transfer) {}
    std::string_view name() const override { return name_; }

    policies::TransferDecision decide(const policies::TransferRequest& request) const override {
        using Use = policies::TransferRequest::Use;
        using policies::Mechanism;
        using policies::TransferReason;
        if (request.use == Use::mmap_read || request.use == Use::mmap_write) {
            return {Mechanism::map, TransferReason::must_share};  // the same under every policy
        }
        py::gil_scoped_acquire lock;
        const std::string answer =
            py::str(object_.call("decide", name_of(request.use), request.pages,
                                 request.expected_uses, request.copy_is_kept));
        if (answer == "copy") return {Mechanism::copy};
        if (answer == "map") return {Mechanism::map};
        if (answer == "flip") {
            return flip_supported_
                       ? policies::TransferDecision{Mechanism::flip}
                       : policies::TransferDecision{Mechanism::copy, TransferReason::not_supported};
        }
        throw std::runtime_error("transfer policy '" + name_ + "': decide() answered '" + answer +
                                 "'; it may answer copy, map or flip");
    }

  private:
    std::string name_;
    Object object_;
    bool flip_supported_;
};

py::dict to_dict(const host::MechanismCosts& costs) {
    py::dict out;
    out["hypercall_ns"] = costs.hypercall;
    out["map_page_ns"] = costs.map_page;
    out["unmap_page_ns"] = costs.unmap_page;
    out["unmap_flush_ns"] = costs.unmap_flush;
    out["copy_page_ns"] = costs.copy_page;
    out["flip_page_ns"] = costs.flip_page;
    out["load_page_ns"] = costs.load_page;
    out["round_trip_ns"] = costs.round_trip;
    return out;
}

// The class is kept for the life of the process: registries outlive the interpreter.
py::handle keep(const py::object& cls) {
    return py::object(cls).release();
}

void add_policy(const std::string& kind, const std::string& name, const py::object& cls) {
    if (kind == "eviction") {
        policies::eviction_policies().add(name, [name, cls = keep(cls)] {
            py::gil_scoped_acquire lock;
            return std::make_unique<PythonEviction>(name, cls());
        });
    } else if (kind == "transfer") {
        policies::transfer_policies().add(
            name, [name, cls = keep(cls)](const host::MechanismCosts& costs,
                                          const host::Capabilities& can) {
                py::gil_scoped_acquire lock;
                py::object object = cls();
                object.attr("costs") = to_dict(costs);
                return std::make_unique<PythonTransfer>(name, std::move(object), can);
            });
    } else {
        throw std::invalid_argument("there is no kind of policy '" + kind +
                                    "' for Python; there are: eviction, transfer");
    }
}

// The child must not inherit a lock that another thread held when it was forked.
void prepare_forks() {
    static PyGILState_STATE state;
    sim::set_fork_hooks({.before =
                             [] {
                                 state = PyGILState_Ensure();
                                 PyOS_BeforeFork();
                             },
                         .after_in_parent =
                             [] {
                                 PyOS_AfterFork_Parent();
                                 PyGILState_Release(state);
                             },
                         .after_in_child =
                             [] {
                                 PyOS_AfterFork_Child();
                                 PyGILState_Release(state);
                             }});
}

}  // namespace

void add_policies(py::module_& module) {
    prepare_forks();
    module.def("add_policy", &add_policy, py::arg("kind"), py::arg("name"), py::arg("cls"));
}

}  // namespace xenfs::bindings
