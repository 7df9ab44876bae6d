#include "workloads/kbuild/build_graph.h"

#include <algorithm>
#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/topological_sort.hpp>
#include <iterator>
#include <stdexcept>

namespace xenfs::workloads {

namespace {

// A vertex is a moment in a job: its start, each of its stops, the end of its own operations, its
// end. An edge's weight is the CPU time that must pass between two moments.
using Graph =
    boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, boost::no_property,
                          boost::property<boost::edge_weight_t, Nanoseconds>>;
using Vertex = boost::graph_traits<Graph>::vertex_descriptor;

struct Moments {
    std::vector<JobId> job;     // of each vertex
    std::vector<Vertex> start;  // of each job
    std::vector<Vertex> end;
};

Nanoseconds op_cpu_ns(const Capture& c, std::span<const Nanoseconds> process_cpu_ns,
                      std::uint32_t op) {
    const ProcessId p = c.op_process[op];
    return process_cpu_ns[p] / std::max(1u, c.processes[p].op_count);
}

void chain_job(Graph& graph, Moments& moments, const BuildPlan& plan,
               std::span<const Nanoseconds> process_cpu_ns, std::size_t jobs, JobId j,
               std::vector<std::pair<Vertex, JobStop>>& stops) {
    const Capture& c = plan.capture();
    const auto ops = c.ops_of_job(j);
    const auto add_vertex = [&] {
        moments.job.push_back(j);
        return boost::add_vertex(graph);
    };
    Vertex at = moments.start[j] = add_vertex();
    std::uint32_t position = 0;
    auto skipped = plan.job(j).skipped.begin();
    const auto advance = [&](std::uint32_t to) {
        Nanoseconds cpu = 0;
        for (; position < std::min<std::size_t>(to, ops.size()); ++position) {
            if (skipped != plan.job(j).skipped.end() && *skipped == position)
                ++skipped;
            else
                cpu += op_cpu_ns(c, process_cpu_ns, ops[position]);
        }
        const Vertex next = add_vertex();
        boost::add_edge(at, next, cpu, graph);
        at = next;
    };
    for (const JobStop& stop : plan.job(j).stops) {
        if (stop.child >= jobs) break;  // the job itself ends here (see BuildOptions::fraction)
        advance(stop.position);
        stops.emplace_back(at, stop);
    }
    const bool cut = std::any_of(plan.job(j).stops.begin(), plan.job(j).stops.end(),
                                 [&](const JobStop& stop) { return stop.child >= jobs; });
    if (!cut) advance(static_cast<std::uint32_t>(ops.size()));
    moments.end[j] = add_vertex();
    boost::add_edge(at, moments.end[j], 0, graph);
}

}  // namespace

BuildGraph analyse(const BuildPlan& plan, std::span<const Nanoseconds> process_cpu_ns,
                   std::size_t jobs) {
    const Capture& c = plan.capture();
    Graph graph;
    Moments moments;
    moments.start.resize(jobs);
    moments.end.resize(jobs);
    std::vector<std::pair<Vertex, JobStop>> stops;
    for (JobId j = 0; j < jobs; ++j)
        chain_job(graph, moments, plan, process_cpu_ns, jobs, j, stops);
    for (const auto& [vertex, stop] : stops) {
        if (stop.kind == JobStop::Kind::release)
            boost::add_edge(vertex, moments.start[stop.child], 0, graph);
        else
            boost::add_edge(moments.end[stop.child], vertex, 0, graph);
    }
    // What a make puts off until a child's end comes between that and its own end.
    std::vector<Nanoseconds> after(jobs, 0);
    for (JobId j = 0; j < jobs; ++j)
        for (const DeferredOp& op : plan.job(j).deferred)
            if (op.child < jobs)
                after[op.child] += op_cpu_ns(c, process_cpu_ns, c.ops_of_job(j)[op.position]);
    for (JobId j = 0; j < jobs; ++j) {
        if (c.jobs[j].parent != kNone)
            boost::add_edge(moments.end[j], moments.end[c.jobs[j].parent], after[j], graph);
        for (JobId before : c.predecessors_of(j))
            boost::add_edge(moments.end[before], moments.start[j], 0, graph);
    }

    std::vector<Vertex> backwards;  // what topological_sort gives
    backwards.reserve(boost::num_vertices(graph));
    try {
        boost::topological_sort(graph, std::back_inserter(backwards));
    } catch (const boost::not_a_dag&) {
        throw std::runtime_error("the capture's jobs wait for each other in a circle");
    }

    BuildGraph out;
    const auto weight = boost::get(boost::edge_weight, graph);
    std::vector<Nanoseconds> earliest(backwards.size(), 0), to_end(backwards.size(), 0);
    for (Vertex v : backwards)
        for (const auto& edge : boost::make_iterator_range(boost::out_edges(v, graph)))
            to_end[v] = std::max(to_end[v], weight[edge] + to_end[boost::target(edge, graph)]);
    std::vector<std::pair<Nanoseconds, int>> work;  // a job becomes busy, or idle
    for (auto at = backwards.rbegin(); at != backwards.rend(); ++at)
        for (const auto& edge : boost::make_iterator_range(boost::out_edges(*at, graph))) {
            const Vertex next = boost::target(edge, graph);
            earliest[next] = std::max(earliest[next], earliest[*at] + weight[edge]);
            out.total_cpu_ns += weight[edge];
            if (weight[edge] != 0) {
                work.emplace_back(earliest[*at], 1);
                work.emplace_back(earliest[*at] + weight[edge], -1);
            }
        }
    std::sort(work.begin(), work.end());
    int busy = 0;
    for (const auto& [time, change] : work) {
        busy += change;
        out.max_parallelism = std::max(out.max_parallelism, static_cast<std::size_t>(busy));
    }
    if (jobs == 0) return out;

    out.to_end_ns.resize(jobs);
    for (JobId j = 0; j < jobs; ++j) out.to_end_ns[j] = to_end[moments.start[j]];
    Vertex v = moments.start[0];
    out.critical_path_ns = to_end[v];
    out.critical_path.push_back(0);
    for (bool more = true; more;) {
        more = false;
        for (const auto& edge : boost::make_iterator_range(boost::out_edges(v, graph))) {
            const Vertex next = boost::target(edge, graph);
            if (weight[edge] + to_end[next] != to_end[v]) continue;
            if (weight[edge] != 0 && out.critical_path.back() != moments.job[v])
                out.critical_path.push_back(moments.job[v]);
            v = next;
            more = true;
            break;
        }
    }
    return out;
}

}  // namespace xenfs::workloads
