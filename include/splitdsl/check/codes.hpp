// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file codes.hpp
/// Every sentence the compiler can say about a network. docs/errors.md explains each with a wrong and a repaired example.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace splitdsl {

/// Which sentence below: SD1xx are names and declarations, SD2xx shapes, SD3xx cuts, places, streams and budgets. A number never changes its meaning.
enum class code : int {
    fine = 0,
    SD101 = 101, SD102, SD103, SD104, SD105, SD106,
    SD201 = 201, SD202, SD203, SD204, SD205, SD206, SD207, SD208, SD209, SD210, SD211, SD212, SD213, SD214, SD215, SD216, SD217, SD218, SD219, SD220,
    SD301 = 301, SD302, SD303, SD304, SD305, SD306, SD307, SD308, SD309, SD310, SD311, SD312, SD313, SD314, SD315, SD316, SD317, SD318, SD319, SD320,
    SD321, SD322, SD323
};

/// What is wrong, at which op (an index into `describe<Net>()`'s table), with both numbers.
struct diagnosis {
    code what{};
    int op{-1};
    std::int64_t expected{}, found{};
};

/// The numbers of a diagnosis, as types so that every compiler prints them.
template <int Op> struct at_op {};
template <std::int64_t Number> struct expected {};
template <std::int64_t Number> struct found {};

namespace detail {

/// A declaration that does not compile has neither ops nor numbers to print; the compiler's own reason follows.
template <class Network, bool Declared>
struct diagnose_graph {
    static_assert(Declared, "splitdsl SD105: a network has no graph(), its graph() is not a constant expression (the compiler says why next to this), or it returns something else than a network. Make it `static constexpr auto graph()` out of the library's words.");
};

/// Only its size is asked for: true whatever C is, so that `static_assert(check<...>)` adds no error to the sentence.
template <class Network, code C, class At, class Expected, class Found>
struct diagnose {
    // clang-format off
    static_assert(C != code::SD101, "splitdsl SD101: a layer with weights has no name, so its weights cannot be found in a file; see at_op<>. Wrap it in named(\"...\", ...).");
    static_assert(C != code::SD102, "splitdsl SD102: two layers of the same full name would share weights, but their weights differ in shape; see at_op<>, expected<> and found<> (elements). Rename one of them.");
    static_assert(C != code::SD103, "splitdsl SD103: a label (input, tap, cut, stream, exit or task) is used twice; see at_op<> for the second, expected<> for the first. Give each its own name.");
    static_assert(C != code::SD104, "splitdsl SD104: a name, label or place is empty or contains something else than letters, digits, _ and -, or a label is longer than 63 letters; see at_op<>. Nest named() instead of writing dots.");
    static_assert(C != code::SD106, "splitdsl SD106: a network's budgets are not read. Declare them as `static constexpr auto limits() { return std::array{payload_at_most(\"uplink\", 4096)}; }`: that name, a constant expression, an array.");
    static_assert(C != code::SD201, "splitdsl SD201: a window is larger than its padded input, or a kernel or dilation larger than 32766; see at_op<>, expected<> (at most) and found<> (window). Enlarge the input or the padding.");
    static_assert(C != code::SD202, "splitdsl SD202: channels are not divisible by groups; see at_op<>, expected<> (groups) and found<> (channels). Change one of them.");
    static_assert(C != code::SD203, "splitdsl SD203: the two branches of an add or residual differ in channels; see at_op<>, expected<> and found<>. Add projection(channels) to the shortcut.");
    static_assert(C != code::SD204, "splitdsl SD204: the two branches of an add or residual differ in height or width; see at_op<>, expected<> and found<>. Give the shortcut the same stride.");
    static_assert(C != code::SD205, "splitdsl SD205: the branches of a concat or fuse differ in height or width; see at_op<>, expected<> and found<>. Pool or upsample one of them.");
    static_assert(C != code::SD206, "splitdsl SD206: the second branch of a multiply is neither of the first's shape nor one value a channel; see at_op<>, expected<> and found<> (channels). End it with a layer of as many channels.");
    static_assert(C != code::SD207, "splitdsl SD207: dense() reads a vector but gets an image; see at_op<> and found<> (pixels). Put global_pool() or flatten() before it.");
    static_assert(C != code::SD208, "splitdsl SD208: a kernel, stride, dilation, factor or upsampled size is below one; see at_op<> and found<>. Sizes start at 1.");
    static_assert(C != code::SD209, "splitdsl SD209: channels, units or an input's size are below one; see at_op<> and found<>. Sizes start at 1.");
    static_assert(C != code::SD210, "splitdsl SD210: a tensor or a layer's weights have more than 2^31 - 1 elements; see at_op<> and found<>. Use a smaller input, more stride or fewer channels.");
    static_assert(C != code::SD211, "splitdsl SD211: normalise() takes up to 4 channels, its means and deviations are finite, and no deviation is zero; an epsilon of batch_norm() or l2_normalise() is finite and not negative; see at_op<> and found<> (channels).");
    static_assert(C != code::SD212, "splitdsl SD212: a raw u8 input is read by a layer that computes; see at_op<>. Put normalise(...) behind the input.");
    static_assert(C != code::SD213, "splitdsl SD213: a pool's padding is more than half its kernel, so a window could lie outside the image; see at_op<>, expected<> (at most) and found<>.");
    static_assert(C != code::SD214, "splitdsl SD214: padding is negative; see at_op<> and found<>. Crop with a stride or a smaller input instead.");
    static_assert(C != code::SD215, "splitdsl SD215: the branches of a select differ in shape; see at_op<>, expected<> and found<> (elements). End them with layers of one size.");
    static_assert(C != code::SD216, "splitdsl SD216: the same input is declared twice with different sizes or types, another layout, or as the command of selects with different numbers of branches; see at_op<>, expected<> and found<> (elements, or branches). Give both the same, or the second a name of its own.");
    static_assert(C != code::SD217, "splitdsl SD217: a slice asks for channels that its tensor does not have; see at_op<>, expected<> (channels there are) and found<> (the last one asked for, or a negative first or count).");
    static_assert(C != code::SD218, "splitdsl SD218: a stride, a padding or an upsampling's factor is larger than 32766; see at_op<>, expected<> (at most) and found<>. Make it smaller, or divide it among several layers.");
    static_assert(C != code::SD219, "splitdsl SD219: a layer computes more than 2^48 multiply-accumulates a frame; see at_op<>, expected<> (at most) and found<>. Use a smaller input, more stride or fewer channels.");
    static_assert(C != code::SD220, "splitdsl SD220: an upsample has a factor and a size that differ; see at_op<>, expected<> (rows or columns that the factor gives) and found<> (those of the size). Give one of the two.");
    static_assert(C != code::SD301, "splitdsl SD301: an op has nothing to read; see at_op<>. Begin the network with input(...), a branch with input(...) or from(...).");
    static_assert(C != code::SD302, "splitdsl SD302: a network computes nothing behind its last cut, or a task stands in front of one; see at_op<>. End it with tail(...), or drop the cut; put all tasks behind it.");
    static_assert(C != code::SD303, "splitdsl SD303: a tensor crosses a cut or a border between places without being declared; see at_op<> (its reader), expected<> (its producer) and found<> (bytes that would travel). Where no cut stands between the two, put one there: | bottleneck(...) or | cut(...); where one does, list the tap: bottleneck(..., carry(\"tap\")).");
    static_assert(C != code::SD304, "splitdsl SD304: from() or fuse() names a tap or stream that no earlier op carries; see at_op<>. Check the spelling, or move it behind the tap.");
    static_assert(C != code::SD305, "splitdsl SD305: carry() lists a tap that does not exist before its cut or that nobody reads behind it; see at_op<> (the cut). Remove it from the list.");
    static_assert(C != code::SD306, "splitdsl SD306: a cut's payload is over its budget; see at_op<> (the cut), expected<> (bytes at most) and found<> (bytes). Shrink the bottleneck or use a smaller codec.");
    static_assert(C != code::SD307, "splitdsl SD307: a place needs more working memory than its budget; see expected<> (bytes at most) and found<> (bytes). Cut earlier, or lower the resolution.");
    static_assert(C != code::SD308, "splitdsl SD308: a place computes more than its budget; see expected<> (multiply-accumulates at most) and found<>. Cut earlier, or make the head thinner.");
    static_assert(C != code::SD309, "splitdsl SD309: a bottleneck's encoded tensor is larger than the network's raw input and than the payload of the cut before it, if there is one, so sending that would be cheaper; see at_op<>, expected<> (bytes at most) and found<>. Fewer channels or more stride, or a lossless cut.");
    static_assert(C != code::SD310, "splitdsl SD310: a tensor would come back to an earlier place within a frame; see at_op<> (its reader), expected<> and found<> (numbers of the places). Only answers travel back.");
    static_assert(C != code::SD311, "splitdsl SD311: a budget names a cut or place that the network does not have; see found<> (number of the budget). Check the spelling.");
    static_assert(C != code::SD312, "splitdsl SD312: a stream is sent but nobody reads it; see at_op<>. Read it with from() or fuse(), or remove it.");
    static_assert(C != code::SD313, "splitdsl SD313: a network exceeds a limit of the library: 16 cuts, 16 tensors a payload group, 8 places, 256 labels, 43 early exits, 64 inputs, 64 tasks and exits, or 14 gdn() layers and two more for each named(); see at_op<>, expected<> (at most) and found<>. Split the network, or concat tensors before the cut.");
    static_assert(C != code::SD314, "splitdsl SD314: a layer's or an input's result is read by nobody; see at_op<>. Remove it, or join it: a second input belongs into concat(identity(), input(...)), several answers into task(...).");
    static_assert(C != code::SD316, "splitdsl SD316: a stream's dynamic_pool has no sizes: the stride is even, divides height and width and can be halved for each doubling; sizes start within s/k .. 2s/k - 1 and grow (s: the longer side, k: the stride); see at_op<>, expected<> (number of the pool_fault) and found<> (the longer side). Change stride or sizes.");
    static_assert(C != code::SD317, "splitdsl SD317: a network with streams of dynamic_pool or widths has two places and no cuts: the streams' place computes the trunk, the other one only exits, each of them from streams alone; see at_op<>. Move the op, or give the exit its own layers.");
    static_assert(C != code::SD318, "splitdsl SD318: by_sizes stands in an exit that reads one or two streams of dynamic_pool or widths, and its numbers are those of their sizes or widths (the older stream's, or 1, then the newest one's); see at_op<>, expected<> (sizes) and found<>. Change the numbers.");
    static_assert(C != code::SD319, "splitdsl SD319: a stream's widths are numbers of channels that grow from at least 1, each by at least 1, and the last one is all channels of its encoder (which has at most 2^23 values); see at_op<>, expected<> (at least; of the last one exactly) and found<> (the first width that is wrong). Change the widths.");
    static_assert(C != code::SD320, "splitdsl SD320: an early exit's answer has another shape than the network's, in whose place it stands; see at_op<> (the exit), expected<> and found<> (elements). End both with layers of one size.");
    static_assert(C != code::SD321, "splitdsl SD321: stages stand in the wrong order, since a frame goes through head() first, then stage(), then tail(); see at_op<> and found<> (an op of the stage that comes too late) and expected<> (an op before it, of a later stage). Swap them.");
    static_assert(C != code::SD322, "splitdsl SD322: a stage stands inside a stage of another place; see at_op<> (its first op), expected<> and found<> (numbers of the outer and the inner place). Close the outer one before it.");
    static_assert(C != code::SD323, "splitdsl SD323: a tensor that is made in one branch of a select or by_sizes is read outside that branch, or an exit, cut, stream or task stands in a branch, though another branch may run; see at_op<> (what reads it or stands there), expected<> (the branch's first op) and found<> (the tensor). Tap the select's own result, or move it behind the select.");
    // clang-format on
};

/// A name as part of a type, so that g++ prints it.
template <std::size_t Size>
struct spelled {
    char letters[Size + 1]{};
    constexpr spelled(std::string_view t) {
        for (std::size_t i = 0; i < Size; ++i) letters[i] = t[i];
    }
};
/// Neither constexpr nor defined: constant evaluation that gets here ends, and the compiler prints the names.
template <spelled... Names>
void the_network_has_only();
template <spelled... Names>
constexpr void say_no_such_name(const char* sentence, auto...) {
    if (sentence != nullptr) the_network_has_only<Names...>();
}
/// Of a question (`macs`, `payload_bytes` ...), not of a network. The names stand here twice: g++ prints types, clang the values of arguments.
template <spelled... Names>
constexpr void refuse_name(std::string_view asked, auto... names) {
    say_no_such_name<Names...>("splitdsl SD315: a question names a cut or place that the network does not have; the names it has stand beside this. Check the spelling.", asked, names...);
}

} // namespace detail
} // namespace splitdsl
