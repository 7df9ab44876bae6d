#include "real/daemon/service.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <charconv>

#include "model/protocol/handshake.h"
#include "real/daemon/log.h"

namespace xenfs::real::daemon {

Service::Service(const DaemonConfig& config)
    : config_(config), gone_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    // The trees first: they are looked at without making anything.
    backing_ = make_backing(config_);
    const ExportConfig& first = config_.exports.front();
    storage::TreeOptions options;
    options.read_only = first.read_only;
    options.devices = first.devices;
    options.drop_page_cache = first.page_cache == "drop";
    options.descriptors = static_cast<std::size_t>(config_.descriptors);
    try {
        storage_ = std::make_unique<storage::TreeStorage>(backing_->host().memory(),
                                                          backing_->monitor(), first.path, options);
    } catch (const storage::TreeError& error) {
        throw DaemonError(first.where + ": " + error.what());
    }
    server_ = std::make_unique<server::Server>(backing_->host(), *storage_, server_config(config_));
}

Service::~Service() {
    // Tasks end before what they use: the host's own destructor would be too late.
    server_.reset();
}

void Service::start() {
    Monitor::Entry entry(backing_->monitor());
    domains_gate_ = backing_->host().tasks().make_gate();
    server_->start();
    backing_->host().tasks().spawn(
        "xenfsd-domains", [this] { watch_domains(); }, true);
    watch_ = backing_->host().store().watch(backing_->domains_watch(), [this] {
        domains_changed_ = true;
        domains_gate_->wake_all();
    });
}

void Service::watch_domains() {
    /// Whichever way this task ends before it was asked to, there is no host any more.
    struct Farewell {
        Service& service;
        ~Farewell() {
            if (!service.stopping_) eventfd_write(service.gone_.get(), 1);
        }
    } farewell{*this};
    while (!stopping_) {
        if (!domains_changed_) {
            domains_gate_->wait();
            continue;
        }
        domains_changed_ = false;
        look_at_domains();
    }
}

void Service::look_at_domains() {
    host::Store& store = backing_->host().store();
    const auto listed = store.list("/local/domain");
    if (!listed) return;
    std::set<DomainId> present;
    for (const std::string& text : *listed) {
        DomainId domain = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), domain);
        if (error != std::errc{} || end != text.data() + text.size()) continue;
        if (domain == backing_->host().self() || domain == backing_->host().granter()) continue;
        const auto name = store.read("/local/domain/" + text + "/name");
        if (!name) continue;  // being built: the watch fires again
        present.insert(domain);
        if (!domains_.contains(domain)) attach(domain, *name);
    }
    for (auto at = domains_.begin(); at != domains_.end();) {
        if (present.contains(at->first)) {
            ++at;
            continue;
        }
        log_info("domain went", {{"domain", at->second.name}, {"id", std::to_string(at->first)}});
        for (const std::uint32_t device : at->second.devices) server_->detach(at->first, device);
        at = domains_.erase(at);
    }
}

void Service::attach(DomainId domain, const std::string& name) {
    Domain& known = domains_[domain];
    known.name = name;
    for (const ExportConfig& one : config_.exports) {
        for (const GuestConfig& guest : one.guests) {
            if (guest.name != name && guest.name != "*") continue;
            const auto device = static_cast<std::uint32_t>(guest.device);
            const int error =
                server_->attach({.guest = domain,
                                 .number = device,
                                 .export_name = one.name,
                                 .quota_pages = static_cast<std::uint64_t>(guest.quota) / page_size,
                                 .trust_group = static_cast<std::uint32_t>(guest.trust_group)});
            if (error == EEXIST) continue;  // named, and "*" too: the first counts
            if (error != 0) {
                log_warn("cannot offer an export: 64 mounts are served already",
                         {{"export", one.name}, {"domain", name}});
                continue;
            }
            known.devices.push_back(device);
            log_info("export offered", {{"export", one.name},
                                        {"domain", name},
                                        {"id", std::to_string(domain)},
                                        {"device", std::to_string(device)}});
        }
    }
}

void Service::stop() {
    {
        Monitor::Entry entry(backing_->monitor());
        backing_->host().store().unwatch(watch_);
        backing_->host().tasks().spawn(
            "xenfsd-stop",
            [this] {
                stopping_ = true;
                domains_gate_->wake_all();
                server_->stop();
                (void)storage_->sync_all();
                host::Store& store = backing_->host().store();
                for (const auto& [domain, known] : domains_) {
                    for (const std::uint32_t device : known.devices) {
                        const protocol::Device name{domain, backing_->host().self(), device};
                        protocol::write_backend_state(store, name, protocol::XenbusState::closed);
                        store.remove(protocol::backend_path(name));
                    }
                }
            },
            false);
    }
    backing_->wait_for_tasks();
}

}  // namespace xenfs::real::daemon
