#pragma once
#include <map>
#include <memory>

#include "model/host/store.h"
#include "real/common/monitor.h"
#include "real/local/link.h"

namespace xenfs::real::local {

/// The store is the broker's; an eventfd tells that watches have fired.
class LocalStore final : public host::Store {
  public:
    LocalStore(Monitor& monitor, Link& link, Descriptor fired)
        : monitor_(monitor), link_(link), fired_(std::move(fired)) {}
    Result<std::string> read(std::string_view path) override;
    int write(std::string_view path, std::string_view value) override;
    int remove(std::string_view path) override;
    Result<std::vector<std::string>> list(std::string_view path) override;
    int allow(std::string_view path, DomainId reader) override;
    std::uint64_t watch(std::string_view path, std::function<void()> changed) override;
    void unwatch(std::uint64_t token) override;

    int descriptor() const { return fired_.get(); }
    void deliver();  ///< called by the delivery thread when the eventfd is raised

  private:
    using Handler = std::shared_ptr<const std::function<void()>>;
    Monitor& monitor_;
    Link& link_;
    Descriptor fired_;
    std::map<std::uint64_t, Handler> watches_;  ///< guarded by the monitor
    std::uint64_t last_token_ = 0;
};

}  // namespace xenfs::real::local
