// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file executor_test.cpp
/// What a pipeline promises besides its numbers: hostile payloads refused, stages stopped between, nothing allocated.
///
/// Header-only use, for the plain machine: small enough to be compiled again under the sanitizers.
#include "../catch.hpp"
#include "../static/networks.hpp"
#include "case_runner.hpp"

#include <splitdsl/runtime/executor.hpp>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long> allocations{0};
void* counted_or_null(std::size_t size) noexcept {
    ++allocations;
    return std::malloc(size ? size : 1);
}
void* counted(std::size_t size, std::size_t alignment) {
    ++allocations;
    void* const p = alignment > alignof(std::max_align_t) ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment) : std::malloc(size ? size : 1);
    if (!p) throw std::bad_alloc();
    return p;
}
} // namespace
// Not inlined, or g++ sees a pointer from new meet free and takes it for an error.
[[gnu::noinline]] void* operator new(std::size_t size) { return counted(size, 0); }
[[gnu::noinline]] void* operator new[](std::size_t size) { return counted(size, 0); }
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted_or_null(size); }
[[gnu::noinline]] void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted_or_null(size); }
[[gnu::noinline]] void* operator new(std::size_t size, std::align_val_t a) { return counted(size, static_cast<std::size_t>(a)); }
[[gnu::noinline]] void* operator new[](std::size_t size, std::align_val_t a) { return counted(size, static_cast<std::size_t>(a)); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {
using namespace numeric;

template <class Network>
struct subject {
    graph::description d = graph::description_of<Network>();
    loaded n{d, pipeline_of<Network>()};
    const pipeline& p = n.p;
    frame f{d, p, 1};

    std::vector<std::byte> payload_at(int cut) {
        side edge(p, n.packed, 0);
        edge.memory.inputs = f.pointers.data();
        std::vector<std::byte> payload(p.cuts[static_cast<std::size_t>(cut)].payload_bytes);
        p.run(edge.memory, 0, p.cuts[static_cast<std::size_t>(cut)].stage + 1, nullptr);
        p.store_payload(edge.memory, cut, payload.data());
        return payload;
    }
    bool accepts(int cut, const std::vector<std::byte>& payload) {
        side cloud(p, n.packed, 1);
        return p.load_payload(cloud.memory, cut, payload);
    }
};
template <class Body>
void for_each_subject(Body body) {
    { subject<networks::sage> s; body(s); }
    { subject<networks::unet> s; body(s); }
    { subject<networks::many_cuts> s; body(s); }
}

template <class Value>
std::vector<std::byte> with(std::vector<std::byte> payload, std::size_t at, Value value) {
    std::memcpy(payload.data() + at, &value, sizeof value);
    return payload;
}
constexpr float infinite = std::numeric_limits<float>::infinity(), no_number = std::numeric_limits<float>::quiet_NaN();

std::atomic<bool> stop_now{false};
} // namespace

TEST_CASE("a network compiled where it stands equals the reference and its own two halves") {
    for_each_subject([](auto& s) {
        const auto unsplit = s.n.whole(s.f);
        CHECK(error_of(s.p, s.n.reference(s.f), unsplit) <= codec_tolerance);
        for (std::size_t c = 0; c < s.p.cuts.size(); ++c) CHECK(split_fault(s.n, s.f, static_cast<int>(c), unsplit) == "");
        CHECK(runner_fault(s.n, s.f, unsplit) == "");
        CHECK(batch_fault(s.n) == "");
    });
}

TEST_CASE("a payload of another size, or of a cut that does not exist, is refused") {
    for_each_subject([](auto& s) {
        const int cuts = static_cast<int>(s.p.cuts.size());
        for (int cut = 0; cut < cuts; ++cut) {
            auto payload = s.payload_at(cut);
            INFO(s.p.network << " cut " << cut);
            CHECK(s.accepts(cut, payload));
            CHECK_FALSE(s.accepts(-1, payload));
            CHECK_FALSE(s.accepts(cuts, payload));
            payload.push_back({});
            CHECK_FALSE(s.accepts(cut, payload));
            payload.resize(payload.size() - 2);
            CHECK_FALSE(s.accepts(cut, payload));
            CHECK_FALSE(s.accepts(cut, {}));
        }
    });
}

TEST_CASE("a payload whose values cannot be, in any of its parts, is refused, and NaN and infinities are values where floats travel as they are") {
    int scales = 0, floats = 0, halves = 0, inputs = 0, commands = 0;
    for_each_subject([&](auto& s) {
        for (int cut = 0; cut < s.d.cuts->count; ++cut) {
            const auto payload = s.payload_at(cut);
            const graph::cut_group& group = s.d.cuts->groups[static_cast<std::size_t>(cut)];
            std::size_t at = 0;
            for (int q = 0; q < group.count; ++q) {
                const graph::crossing& x = group.items[static_cast<std::size_t>(q)];
                const std::size_t last = at + static_cast<std::size_t>(x.bytes);
                const op& o = s.d.ops[static_cast<std::size_t>(x.op)];
                INFO(s.p.network << " cut " << cut << " part " << q);
                if (x.is_input) {
                    if (const int branches = commands_of(s.d, std::string(o.label)); branches > 0) {
                        for (int c = 0; c < 256; ++c) CHECK(s.accepts(cut, with(payload, at, static_cast<unsigned char>(c))) == (c < branches));
                        ++commands;
                    } else if (o.element == element_type::f32) {
                        for (const float odd : {no_number, infinite, -infinite}) CHECK(s.accepts(cut, with(payload, last - 4, odd)));
                        ++inputs;
                    }
                } else if (x.codec == codec_id::affine8 || x.codec == codec_id::affine16) {
                    for (const float wrong : {no_number, infinite, -infinite, 0.0F, -1.0F, 1e-39F, 3e38F}) CHECK_FALSE(s.accepts(cut, with(payload, at, wrong)));
                    const std::int32_t levels = x.codec == codec_id::affine8 ? 255 : 65535;
                    for (const std::int32_t wrong : {-1, levels + 1, std::numeric_limits<std::int32_t>::min()}) CHECK_FALSE(s.accepts(cut, with(payload, at + 4, wrong)));
                    CHECK(s.accepts(cut, with(payload, at + 4, levels)));
                    ++scales;
                } else if (x.codec == codec_id::float32) {
                    for (const float odd : {no_number, infinite, -infinite})
                        for (const std::size_t where : {at, last - 4}) CHECK(s.accepts(cut, with(payload, where, odd)));
                    ++floats;
                } else {
                    for (const int odd : {0x7c00, 0xfc00, 0x7e01})
                        for (const std::size_t where : {at, last - 2}) CHECK(s.accepts(cut, with(payload, where, static_cast<std::uint16_t>(odd))));
                    ++halves;
                }
                at = last;
            }
            CHECK(at == payload.size());
        }
    });
    CHECK(scales > 0);
    CHECK(floats > 0);
    CHECK(halves > 0);
    CHECK(inputs > 0);
    CHECK(commands > 0);
}

TEST_CASE("whatever bytes came before, accepted or not, the next good payload gives its own answer") {
    for_each_subject([](auto& s) {
        const auto unsplit = s.n.whole(s.f);
        std::mt19937 engine(99);
        for (int cut = 0; cut < static_cast<int>(s.p.cuts.size()); ++cut) {
            const cut_info& c = s.p.cuts[static_cast<std::size_t>(cut)];
            const auto good = s.payload_at(cut);
            side cloud(s.p, s.n.packed, 0);
            for (int i = 0; i < 20; ++i) {
                auto bad = good;
                if (i % 2 == 0)
                    for (auto& b : bad) b = static_cast<std::byte>(engine() & 255U);
                else
                    bad[engine() % bad.size()] ^= static_cast<std::byte>(1U << engine() % 8U);
                if (s.p.load_payload(cloud.memory, cut, bad)) s.p.run(cloud.memory, c.stage + 1, s.p.stages, nullptr);
            }
            REQUIRE(s.p.load_payload(cloud.memory, cut, good));
            REQUIRE(s.p.run(cloud.memory, c.stage + 1, s.p.stages, nullptr));
            INFO(s.p.network << " cut " << c.name);
            CHECK(std::memcmp(cloud.outputs.data(), unsplit.data(), s.p.outputs[0].bytes) == 0);
        }
    });
}

TEST_CASE("bad_input names the input whose command has no branch") {
    subject<networks::sage> s;
    side edge(s.p, s.n.packed, 0);
    edge.memory.inputs = s.f.pointers.data();
    int command = -1;
    for (std::size_t i = 0; i < s.p.inputs.size(); ++i)
        if (std::string(s.p.inputs[i].name) == "command") command = static_cast<int>(i);
    REQUIRE(command >= 0);
    for (int c = 0; c < 256; ++c) {
        s.f.bytes[static_cast<std::size_t>(command)][0] = static_cast<std::byte>(c);
        CHECK(s.p.bad_input(edge.memory) == (c < 4 ? -1 : command));
    }
    subject<networks::unet> none;
    side other(none.p, none.n.packed, 0);
    other.memory.inputs = none.f.pointers.data();
    CHECK(none.p.bad_input(other.memory) == -1);
}

TEST_CASE("a run stops between stages, never within one, and can be taken up again") {
    for_each_subject([](auto& s) {
        REQUIRE(s.p.stages >= 2);
        const auto unsplit = s.n.whole(s.f);
        side one(s.p, s.n.packed, 0);
        one.memory.inputs = s.f.pointers.data();
        // Stopped before the first stage: nothing ran.
        stop_now = true;
        CHECK_FALSE(s.p.run(one.memory, 0, s.p.stages, &stop_now));
        CHECK(std::none_of(one.arena.data(), one.arena.data() + s.p.arena_bytes, [](std::byte b) { return b != std::byte{0xff}; }));
        stop_now = true;
        const frame_memory twice[]{one.memory, one.memory};
        CHECK_FALSE(s.p.run_batch(twice, 0, s.p.stages, &stop_now));
        CHECK(std::none_of(one.arena.data(), one.arena.data() + s.p.arena_bytes, [](std::byte b) { return b != std::byte{0xff}; }));
        // Stopped while the first stage runs: that stage ends, no other begins.
        stop_now = false;
        constexpr task_runner stopping{[](int tasks, void (*body)(void*, int, int), void* context) {
            stop_now = true;
            body(context, 0, tasks);
        }};
        one.memory.workers = &stopping;
        CHECK_FALSE(s.p.run(one.memory, 0, s.p.stages, &stop_now));
        CHECK_FALSE(one.wrote(0));
        one.memory.workers = nullptr;
        stop_now = false;
        CHECK(s.p.run(one.memory, 1, s.p.stages, &stop_now));
        CHECK(same_bits(one.outputs, unsplit));
        CHECK(s.p.run(one.memory, s.p.stages, s.p.stages, nullptr));        // no stage at all
    });
}

TEST_CASE("running, storing and loading allocate nothing") {
    for_each_subject([](auto& s) {
        side edge(s.p, s.n.packed, 0), cloud(s.p, s.n.packed, 1);
        edge.memory.inputs = s.f.pointers.data();
        cloud.memory.inputs = s.f.pointers.data();
        std::vector<std::byte> payload;
        for (const cut_info& c : s.p.cuts) payload.resize(std::max(payload.size(), c.payload_bytes));
        bool fine = true;
        const long before = allocations;
        for (const task_runner* workers : {static_cast<const task_runner*>(nullptr), &backwards}) {
            edge.memory.workers = cloud.memory.workers = workers;
            const frame_memory both[]{edge.memory, cloud.memory};
            fine = fine && s.p.run_batch(both, 0, s.p.stages, nullptr);
            for (int cut = 0; cut < static_cast<int>(s.p.cuts.size()); ++cut) {
                const cut_info& c = s.p.cuts[static_cast<std::size_t>(cut)];
                fine = fine && s.p.bad_input(edge.memory) == -1 && s.p.run(edge.memory, 0, c.stage + 1, nullptr);
                const std::size_t n = s.p.store_payload(edge.memory, cut, payload.data());
                fine = fine && s.p.load_payload(cloud.memory, cut, {payload.data(), n}) && s.p.run(cloud.memory, c.stage + 1, s.p.stages, nullptr);
            }
        }
        const long during = allocations - before;
        CHECK(fine);
        CHECK(during == 0);
    });
    const long before = allocations;
    ::operator delete(::operator new(1000));    // a direct call: clang may leave out a container's
    CHECK(allocations - before >= 1);           // the counter counts
}
