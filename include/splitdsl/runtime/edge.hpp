// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file edge.hpp
/// The device's side of a declared network: `edge<Network, Policy>`.
#pragma once

#include <splitdsl/policy/scheduler_policy.hpp>
#include <splitdsl/runtime/edge_core.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace splitdsl {

namespace detail {

template <class T>
concept input_element = std::same_as<T, std::byte> || std::same_as<T, float> || (std::integral<T> && sizeof(T) == 1 && !std::same_as<T, bool>);
/// The memory of one input.
template <class R>
concept input_like = requires(const R& r) { requires input_element<std::remove_cv_t<typename decltype(std::span{r})::element_type>>; };

template <class Network>
inline constexpr std::size_t input_count_of = [] {
    std::size_t n = 0;
    for (std::size_t i = 0; i < graph_of<Network>.ops.size(); ++i)
        n += graph_of<Network>.ops[i].kind == op_kind::input && resolved_of<Network>.target[i] == static_cast<int>(i);
    return n;
}();

} // namespace detail

/// One input of a frame, as its bytes. Made of a range only, so that a list of too few does not compile.
struct input_view {
    std::span<const std::byte> bytes;
    template <class Range>
        requires detail::input_like<Range>
    input_view(const Range& range) noexcept : bytes{std::as_bytes(std::span{range})} {}
};

namespace detail {

/// What `infer` and `submit` take: one input, or an array of them.
template <class F>
inline constexpr bool is_input_array = false;
template <class Range, std::size_t N>
inline constexpr bool is_input_array<std::array<Range, N>> = input_like<Range> || std::same_as<Range, input_view>;
template <class F>
concept frame_like = input_like<F> || is_input_array<F>;

} // namespace detail

/// Answers every frame of `Network` by its deadline; `Policy` decides which way each one goes. Everything else is `edge_core`.
///
/// Throws `option_error` for options that do not fit the network. A link that is down is no error: frames are then answered here.
///
/// `submit`, `poll`, `infer`, `refused` and `distributions` belong to one thread, whichever, from the first call on; `counters`, `report`, `profile`,
/// `link_now` and `link_failure` may be called from any, as by a logger. The weights stay what they are: for others, make a new edge.
///
/// ```cpp body
/// edge<lane_keeper, policy::sage> edge{weights, policy::sage{costs}, {.deadline = 100ms}, link::tcp{"tail.local", 7447}};
/// const answer a = edge.infer(camera_bytes, control);        // a.source: cloud, edge, fallback, ...
/// const answer b = two_cameras.infer({left, right}, control);
/// ```
template <class Network, scheduler_policy Policy, class Line = session>
class edge {
public:
    template <std::derived_from<link::connector> Connector>
        requires std::same_as<Line, session>
    edge(const network_weights<Network>& weights, Policy policy, edge_options options, Connector where)
        : edge(weights, std::move(policy), std::move(options), std::unique_ptr<link::connector>(std::make_unique<Connector>(std::move(where)))) {}
    /// Without a link: every frame is answered here. With `servers<>` for `Line`: a list of servers (runtime/servers.hpp).
    edge(const network_weights<Network>& weights, Policy policy, edge_options options, typename Line::place where = {})
        : owned{weights}, core{owned.net(), owned.bytes(), std::move(policy), with_digest(std::move(options), owned), std::move(where)} {}

    static constexpr std::size_t inputs = detail::input_count_of<Network>;

    /// The network's inputs in the order in which it declares them, each a contiguous range of bytes (`std::byte`, `std::uint8_t`, `char`) or,
    /// for an `f32` input, of floats: `infer({left, right}, control)`, a `std::array` of such ranges, or the range itself for a network with one
    /// input. Another number of inputs does not compile. One of another size is refused: `answer_source::none` and why, nothing written.
    answer infer(const std::array<input_view, inputs>& frame, std::span<float> values) noexcept { return core.infer(spans_of(frame), values); }
    template <class Frame>
        requires detail::frame_like<Frame>
    answer infer(const Frame& frame, std::span<float> values) noexcept { return core.infer(spans_of(frame), values); }
    /// The same without waiting: the frame's number, or 0 if it is refused.
    std::uint32_t submit(const std::array<input_view, inputs>& frame) noexcept { return core.submit(spans_of(frame)); }
    template <class Frame>
        requires detail::frame_like<Frame>
    std::uint32_t submit(const Frame& frame) noexcept { return core.submit(spans_of(frame)); }
    bool poll(answer& a) noexcept { return core.poll(a); }
    /// Why the newest `submit` or `infer` started no frame; `none` if it did.
    frame_refusal refused() const noexcept { return core.refused(); }

    /// Right behind an answer `frame` and `link` may lack that frame, until the next one begins; `answer` has it.
    edge_counters counters() const { return core.counters(); }
    edge_report report() const { return core.report(); }
    const edge_distributions& distributions() const { return core.distributions(); }
    /// The link as the next decision would see it; not up while the circuit breaker is open.
    link_view link_now() const { return core.link_now(); }
    /// Why the link is not up, for people: nobody listens, what the handshake found to differ, the connection was lost, offloads kept failing.
    /// Empty while it is up, and without a link.
    std::string link_failure() const { return core.link_failure(); }
    stage_profile profile() const { return core.profile(); }
    /// Of several servers: what each did, and how the link to it is. Not for the frame path.
    auto server_reports() const
        requires detail::several_servers_v<Line>
    {
        return core.connection() ? core.connection()->reports() : decltype(core.connection()->reports()){};
    }

private:
    template <class Frame>
    static std::array<std::span<const std::byte>, inputs> spans_of(const Frame& frame) noexcept {
        if constexpr (detail::input_like<Frame>) {
            static_assert(inputs == 1, "splitdsl: this network has several inputs; infer and submit want one range for each, as in infer({left, right}, values)");
            return {input_view{frame}.bytes};
        } else {
            static_assert(std::tuple_size_v<Frame> == inputs, "splitdsl: infer and submit want one range of bytes for each input of the network");
            std::array<std::span<const std::byte>, inputs> spans;
            for (std::size_t i = 0; i < inputs; ++i) spans[i] = input_view{frame[i]}.bytes;
            return spans;
        }
    }
    static edge_options with_digest(edge_options o, const network_weights<Network>& w) {
        o.weights_digest = w.digest();
        return o;
    }
    network_weights<Network> owned;
    edge_core<Policy, Line> core;
};

} // namespace splitdsl
