#pragma once
#include <functional>
#include <map>
#include <thread>

#include "model/host/store.h"
#include "real/common/monitor.h"
#include "real/xen/libraries.h"

namespace xenfs::real::xen {

/// xenstore through libxenstore. A thread of its own takes watch events into the domain's monitor.
class XenStore : public host::Store {
  public:
    explicit XenStore(Monitor& monitor);
    ~XenStore() override;

    Result<std::string> read(std::string_view path) override;
    int write(std::string_view path, std::string_view value) override;
    int remove(std::string_view path) override;
    Result<std::vector<std::string>> list(std::string_view path) override;
    int allow(std::string_view path, DomainId reader) override;
    int hand_over(std::string_view path, DomainId owner) override;
    std::uint64_t watch(std::string_view path, std::function<void()> changed) override;
    void unwatch(std::uint64_t token) override;

  private:
    struct Watch {
        std::string path;
        std::function<void()> changed;
    };
    void deliver();

    Monitor& monitor_;
    StoreHandle handle_;
    std::map<std::uint64_t, Watch> watches_;
    std::uint64_t next_token_ = 1;
    int stop_ = -1;
    std::thread thread_;
};

}  // namespace xenfs::real::xen
