#include "real/daemon/service.h"

#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "model/protocol/handshake.h"
#include "real/daemon/capacity.h"
#include "real/daemon/log.h"
#include "real/daemon/status.h"

namespace xenfs::real::daemon {

namespace {

std::size_t descriptor_limit() {
    rlimit files{};
    return getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 1024;
}

DaemonError fanotify_refused(const ExportConfig& exported) {
    return DaemonError(exported.where + ": watch: fanotify is refused for '" + exported.path +
                       "'; it needs CAP_SYS_ADMIN and a file system with file handles; say watch "
                       "= \"inotify\" or \"auto\"");
}

}  // namespace

Descriptor Service::open_watch(const ExportConfig& exported) {
    if (exported.watch != "auto" && exported.watch != "fanotify") return {};
    auto queue = storage::open_fanotify(exported.path);
    if (queue) return std::move(*queue);
    // Whoever opens the directory says best why it cannot be opened.
    const bool absent = queue.error() == ENOENT || queue.error() == ENOTDIR;
    if (exported.watch == "fanotify" && !absent) throw fanotify_refused(exported);
    return {};
}

/// Says in the log once what is not seen, where that is more than the man page says.
void Service::watch_tree(Descriptor fanotify) {
    const ExportConfig& one = config_.exports.front();
    if (one.watch == "off") return;
    if (fanotify && storage_->watch_by_fanotify(std::move(fanotify))) return;
    if (one.watch == "fanotify") throw fanotify_refused(one);
    if (!storage_->watch_by_inotify()) {
        log_warn(
            "guests do not see what is changed in the tree past this daemon: the kernel refuses "
            "both fanotify and inotify",
            {{"path", one.path}});
    } else if (one.watch == "auto") {
        log_info(
            "the tree is watched by inotify, since fanotify needs CAP_SYS_ADMIN and a file system "
            "with file handles",
            {{"path", one.path}});
    }
}

Service::Service(const DaemonConfig& config, Descriptor fanotify)
    : config_(config), gone_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    // Whatever can be refused comes first and the pool last, so that nothing is left half made.
    const ExportConfig& one = config_.exports.front();
    Descriptor root;
    try {
        root = storage::open_root(one.path);
    } catch (const storage::TreeError& error) {
        throw DaemonError(one.where + ": " + error.what());
    }
    if (!config_.control_socket.empty()) {
        control_ = std::make_unique<TextSocket>(config_.control_socket, TextSocket::Kind::line);
    }
    if (!config_.metrics_socket.empty()) {
        metrics_ = std::make_unique<TextSocket>(config_.metrics_socket, TextSocket::Kind::http);
    }
    backing_ = make_backing(config_);
    storage::TreeOptions options;
    options.read_only = one.read_only;
    options.devices = one.devices;
    options.drop_page_cache = one.page_cache == "drop";
    options.open_files = open_files(config_, descriptor_limit());
    options.descriptors = std::min<std::size_t>(config_.descriptors, options.open_files);
    storage_ = std::make_unique<storage::TreeStorage>(
        backing_->host().memory(), backing_->monitor(), std::move(root), options);
    watch_tree(std::move(fanotify));
    server_ = std::make_unique<server::Server>(backing_->host(), *storage_, config_.server);
    const std::size_t entries = backing_->host().grants().grant_capacity();
    for (const std::string& what : shortages(config_, entries, descriptor_limit())) {
        log_warn(what);
    }
}

Service::~Service() {
    // The callers end first, then the tasks with their host, then what those used.
    if (control_) control_->stop();
    if (metrics_) metrics_->stop();
    if (!stopping_) backing_->abandon();
    domains_gate_.reset();
    server_.reset();
    storage_.reset();
}

void Service::start() {
    Monitor::Entry entry(backing_->monitor());
    domains_gate_ = backing_->host().tasks().make_gate();
    backing_->host().tasks().spawn(
        "xenfsd-domains", [this] { watch_domains(); }, true);
    watch_ = backing_->host().store().watch(backing_->domains_watch(), [this] {
        domains_changed_ = true;
        domains_gate_->wake_all();
    });
    if (control_) control_->start([this](const std::string& question) { return answer(question); });
    if (metrics_) metrics_->start([this](const std::string&) { return answer("metrics"); });
}

std::string Service::answer(const std::string& question) {
    if (question != "status" && question != "metrics") {
        return R"({"error":"there is no such question; there are: status, metrics"})"
               "\n";
    }
    Monitor::Entry entry(backing_->monitor());
    StatusSource source{config_, *server_, backing_->host(), *storage_, {}, 0};
    source.uptime_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    for (const auto& [domain, known] : domains_) {
        for (const Device& device : known.devices) {
            source.devices.push_back(
                {domain, known.name, device.export_name, device.access, device.number});
        }
    }
    const auto status = status_json(source);
    return question == "status" ? status.dump() + "\n" : prometheus_text(status);
}

void Service::look_at_export() {
    if (!unseen_ && storage_->watch() != nullptr && storage_->watch()->unseen() != 0) {
        unseen_ = true;
        log_warn(
            "guests do not see what is changed in some directories: raise the sysctl "
            "fs.inotify.max_user_watches and restart",
            {{"path", config_.exports.front().path}});
    }
    if (vanished_ || !storage_->vanished()) return;
    vanished_ = true;
    log_error("the exported directory was removed; guests see it empty: make it again and restart",
              {{"path", config_.exports.front().path}});
}

void Service::watch_domains() {
    /// Where this task ends before it was asked to, for whatever reason, the host is gone.
    struct Farewell {
        Service& service;
        ~Farewell() {
            if (!service.stopping_) eventfd_write(service.gone_.get(), 1);
        }
    } farewell{*this};
    // The server takes over what a predecessor left for the domains that it knows by then.
    domains_changed_ = false;
    look_at_domains();
    server_->start();
    while (!stopping_) {
        if (!domains_changed_) {
            // The server does not tell when a place has come free for those who were refused.
            constexpr Nanoseconds second = 1'000'000'000;
            const bool refused = std::any_of(domains_.begin(), domains_.end(), [](const auto& at) {
                return !at.second.refused.empty();
            });
            if (domains_gate_->wait(refused ? second : host::forever)) continue;
            attach_refused();
            continue;
        }
        domains_changed_ = false;
        // With many domains a look takes its time, and on a local host every write of a guest to
        // the store asks for one: the looks take a fifth of the time at most.
        host::Clock& clock = backing_->host().clock();
        const Nanoseconds begun = clock.now();
        look_at_domains();
        attach_refused();
        const Nanoseconds rested = begun + 5 * (clock.now() - begun);
        while (!stopping_ && clock.now() < rested) domains_gate_->wait(rested - clock.now());
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
        if (!name) continue;  // the domain is being built; the watch fires again
        const auto unique = store.read("/local/domain/" + text + "/vm");
        const std::string vm = unique ? *unique : "";
        const auto known = domains_.find(domain);
        if (known != domains_.end() && known->second.name == *name && known->second.vm == vm) {
            present.insert(domain);
            continue;
        }
        // The domain has gone and another has come under its number between two looks.
        if (known != domains_.end()) detach(known);
        if (store.read(protocol::pool_mark_path(domain))) continue;  // the pool of another daemon
        present.insert(domain);
        attach(domain, *name, vm);
    }
    for (auto at = domains_.begin(); at != domains_.end();) {
        at = present.contains(at->first) ? std::next(at) : detach(at);
    }
}

std::map<DomainId, Service::Domain>::iterator Service::detach(
    std::map<DomainId, Domain>::iterator domain) {
    log_info("domain went",
             {{"domain", domain->second.name}, {"id", std::to_string(domain->first)}});
    for (const Device& device : domain->second.devices) {
        server_->detach(domain->first, device.number);
    }
    for (const std::uint32_t number : domain->second.refused) {
        backing_->host().store().remove(
            protocol::backend_path({domain->first, backing_->host().self(), number}));
    }
    return domains_.erase(domain);
}

void Service::attach(DomainId domain, const std::string& name, const std::string& vm) {
    Domain& known = domains_[domain];
    known.name = name;
    known.vm = vm;
    for (const ExportConfig& one : config_.exports) {
        for (const GuestConfig& guest : one.guests) {
            if (guest.name != name && guest.name != "*") continue;
            server::Attachment device = guest.device;
            device.guest = domain;
            const int error = server_->attach(device);
            // an export may be offered by name and by "*"; the first counts
            if (error == EEXIST) continue;
            if (error == EUSERS) refuse(domain, known, device.number, one.name);
            if (error != 0) continue;  // as the server ends
            known.refused.erase(device.number);
            known.devices.push_back({device.number, one.name, one.read_only ? "ro" : guest.access});
            log_info("export offered", {{"export", one.name},
                                        {"domain", name},
                                        {"id", std::to_string(domain)},
                                        {"device", std::to_string(device.number)}});
        }
    }
}

void Service::attach_refused() {
    for (const auto& [domain, known] : domains_) {
        if (!known.refused.empty()) attach(domain, known.name, known.vm);
    }
}

/// Tells guest and log, once, that the domain is one too many.
void Service::refuse(DomainId domain, Domain& known, std::uint32_t device,
                     const std::string& exported) {
    if (!known.refused.insert(device).second) return;
    protocol::write_backend_refusal(backing_->host().store(),
                                    {domain, backing_->host().self(), device});
    log_warn("a guest is refused: as many are served as may be (server.guests)",
             {{"export", exported},
              {"domain", known.name},
              {"id", std::to_string(domain)},
              {"device", std::to_string(device)},
              {"guests", std::to_string(config_.server.max_guests)}});
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
                    for (const Device& device : known.devices) {
                        const protocol::Device name{domain, backing_->host().self(), device.number};
                        protocol::write_backend_state(store, name, protocol::XenbusState::closed);
                        store.remove(protocol::backend_path(name));
                    }
                    for (const std::uint32_t number : known.refused) {
                        store.remove(
                            protocol::backend_path({domain, backing_->host().self(), number}));
                    }
                }
            },
            false);
    }
    backing_->wait_for_tasks();
}

}  // namespace xenfs::real::daemon
