#include "sim/engine/engine.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <simgrid/s4u.hpp>
#include <utility>

namespace xenfs::sim {

namespace s4u = simgrid::s4u;

namespace {

double seconds(Nanoseconds time) {
    return static_cast<double>(time) * 1e-9;
}

/// SimGrid's own engine lives as long as the process: it cannot be made a second time.
s4u::Engine& make_simgrid() {
    static char program[] = "xenfs", quiet[] = "--log=root.thres:critical";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // SimGrid does not tell the sanitizers about its switches of stacks: each actor gets a thread.
    static char factory[] = "--cfg=contexts/factory:thread";
    static char* arguments[] = {program, quiet, factory, nullptr};
#else
    static char* arguments[] = {program, quiet, nullptr};
#endif
    int count = static_cast<int>(std::size(arguments)) - 1;
    auto* engine = new s4u::Engine(&count, arguments);
    // A transfer gets exactly what the platform says: none of the factors by which SimGrid's
    // default model stands for TCP's headers, slow start and window.
    s4u::Engine::set_config("network/model:CM02");
    s4u::Engine::set_config("network/TCP-gamma:0");
    s4u::Engine::set_config("network/crosstraffic:0");
    return *engine;
}

// These are 3.32's names for making hosts, links and routes; 4.0 has them too, and warns that a
// later release will not.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
void build(const Platform& platform) {
    auto* const zone = s4u::create_full_zone("platform");
    std::map<std::string, s4u::Host*> hosts;
    std::map<std::string, s4u::Link*> links;
    for (const std::string& name : platform.hosts) {
        if (hosts.count(name) != 0)
            throw PlatformError("the platform has two hosts '" + name + "'");
        hosts[name] = zone->create_host(name, 1e9);
        hosts[name]->seal();
    }
    for (const Platform::Link& link : platform.links) {
        if (links.count(link.name) != 0) {
            throw PlatformError("the platform has two links '" + link.name + "'");
        }
        links[link.name] =
            zone->create_link(link.name, link.bytes_per_second)->set_latency(seconds(link.latency));
        links[link.name]->seal();
    }
    const auto find = [](const auto& all, const std::string& name, const char* kind) {
        const auto found = all.find(name);
        if (found == all.end()) {
            throw PlatformError(std::string("a route of the platform names the ") + kind + " '" +
                                name + "', which it has not");
        }
        return found->second;
    };
    for (const Platform::Route& route : platform.routes) {
        std::vector<s4u::LinkInRoute> on_the_way;
        for (const std::string& name : route.links) {
            on_the_way.emplace_back(find(links, name, "link"));
        }
        zone->add_route(find(hosts, route.from, "host")->get_netpoint(),
                        find(hosts, route.to, "host")->get_netpoint(), nullptr, nullptr, on_the_way,
                        false);
    }
    zone->seal();
}
#pragma GCC diagnostic pop

}  // namespace

struct EngineActor::State {
    s4u::SemaphorePtr wake = s4u::Semaphore::create(0);
    bool waits = false, interrupted = false;
};

EngineActor::EngineActor() : state_(std::make_unique<State>()) {}
EngineActor::~EngineActor() = default;

void EngineActor::wait_until(Nanoseconds when) {
    State& own = *state_;
    while (!std::exchange(own.interrupted, false) && Engine::now() < when) {
        own.waits = true;
        if (when == forever) {
            own.wake->acquire();
        } else {
            own.wake->acquire_timeout(seconds(when) - s4u::Engine::get_clock());
        }
        own.waits = false;
    }
}

void EngineActor::interrupt() {
    if (std::exchange(state_->interrupted, true)) return;
    if (state_->waits) state_->wake->release();
}

/// An actor that carries one transfer after another, since somebody must wait for a transfer. The
/// pool grows to as many as were in flight at once.
struct Engine::Courier {
    s4u::SemaphorePtr work = s4u::Semaphore::create(0);
    HostIndex from = 0, to = 0;
    std::uint64_t bytes = 0;
    std::function<void()> arrived;
};

struct Engine::State {
    s4u::Engine& simgrid = make_simgrid();
    std::vector<s4u::Host*> hosts;
    bool built_in_code = false;
    std::set<std::pair<HostIndex, HostIndex>> routes;  ///< those of a platform built in code
    std::map<std::pair<HostIndex, HostIndex>, Nanoseconds> latencies;  ///< those asked for so far
    std::vector<std::unique_ptr<EngineActor>> actors;
    std::vector<std::unique_ptr<Courier>> couriers;
    std::vector<Courier*> idle;
};

Engine::Engine(const Platform& platform) : state_(std::make_unique<State>()) {
    if (platform.file.empty()) {
        build(platform);
    } else {
        try {
            state_->simgrid.load_platform(platform.file);
        } catch (const std::exception& error) {
            throw PlatformError("the platform file '" + platform.file +
                                "' cannot be read: " + error.what());
        }
    }
    state_->hosts = state_->simgrid.get_all_hosts();
    state_->built_in_code = platform.file.empty();
    for (const Platform::Route& route : platform.routes) {
        state_->routes.emplace(host(route.from), host(route.to));
    }
}

Engine::~Engine() = default;

HostIndex Engine::host(const std::string& name) {
    const auto& hosts = state_->hosts;
    const auto found = std::find_if(hosts.begin(), hosts.end(), [&](const s4u::Host* host) {
        return host->get_name() == name;
    });
    if (found == hosts.end()) throw PlatformError("the platform has no host '" + name + "'");
    return static_cast<HostIndex>(found - hosts.begin());
}

Nanoseconds Engine::latency(HostIndex from, HostIndex to) {
    State& own = *state_;
    const auto known = own.latencies.find({from, to});
    if (known != own.latencies.end()) return known->second;
    if (own.built_in_code && own.routes.count({from, to}) == 0) {
        throw PlatformError("the platform has no route from '" + own.hosts[from]->get_name() +
                            "' to '" + own.hosts[to]->get_name() + "'");
    }
    std::vector<s4u::Link*> links;
    double sum = 0;
    own.hosts[from]->route_to(own.hosts[to], links, &sum);
    return own.latencies[{from, to}] = static_cast<Nanoseconds>(std::floor(sum * 1e9));
}

void Engine::add_actor(const std::string& name, HostIndex host,
                       std::function<void(EngineActor&)> body) {
    state_->actors.push_back(std::unique_ptr<EngineActor>(new EngineActor));
    s4u::Actor::create(
        name, state_->hosts[host],
        [actor = state_->actors.back().get(), does = std::move(body)] { does(*actor); });
}

void Engine::run(const std::function<void()>& on_deadlock) {
    s4u::Engine::on_deadlock_cb(on_deadlock);
    state_->simgrid.run();
}

Nanoseconds Engine::now() {
    return std::llround(s4u::Engine::get_clock() * 1e9);
}

void Engine::transfer(HostIndex from, HostIndex to, std::uint64_t bytes,
                      std::function<void()> arrived) {
    State& own = *state_;
    const bool fresh = own.idle.empty();
    if (fresh) {
        own.couriers.push_back(std::make_unique<Courier>());
        own.idle.push_back(own.couriers.back().get());
    }
    Courier& courier = *own.idle.back();
    own.idle.pop_back();
    courier.from = from;
    courier.to = to;
    courier.bytes = bytes;
    courier.arrived = std::move(arrived);
    courier.work->release();
    if (!fresh) return;
    s4u::Actor::create("courier", own.hosts.front(), [&own, &courier] {
        for (;;) {
            courier.work->acquire();
            s4u::Comm::sendto(own.hosts[courier.from], own.hosts[courier.to], courier.bytes);
            const auto tell = std::exchange(courier.arrived, nullptr);
            own.idle.push_back(&courier);
            tell();
        }
    })->daemonize();
}

}  // namespace xenfs::sim
