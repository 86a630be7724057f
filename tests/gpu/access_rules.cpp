// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file access_rules.cpp
/// That the check of accesses (shadow.hpp) can fail: each barrier and each wait of every kernel is left out, streams do not wait, operands are in wrong places.
#include "described_host.hpp"
#include "shadow.hpp"
#include "subjects.hpp"

#include <splitdsl/gpu/byte_tiles.hpp>
#include <splitdsl/gpu/value_tiles.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/describe.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <vector>

namespace {
using namespace gpu_tests;
using namespace kernels::cudnn;
namespace shadow = fake::shadow;

/// Reports that are counted, and are nobody's complaint, while it lives.
struct quiet {
    quiet() { fake::now.wrong = "", shadow::seen.keeps_quiet = true; }
    ~quiet() { shadow::seen.keeps_quiet = false, shadow::seen.left_out = nullptr, shadow::seen.left_out_event_wait = -1, fake::now.wrong = ""; }
    quiet(const quiet&) = delete;
};
/// The reports of `work`, and the first of them.
long reports(const std::function<void()>& work) {
    const long before = shadow::seen.reports;
    shadow::seen.first.clear();
    work();
    return shadow::seen.reports - before;
}

/// The same in a process of its own: what goes wrong behind a missing barrier may write anywhere, and of some types a processor too refuses what is not aligned.
long reports_apart(const std::function<void()>& work) {
    void* const room = mmap(nullptr, sizeof(shadow::reported), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(room != MAP_FAILED);
    auto* const found = static_cast<shadow::reported*>(room);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        for (const int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE}) std::signal(signal, SIG_DFL);
        alarm(20);              // threads that no longer meet may go round for ever
        shadow::seen.shared = found;
        work();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    const long n = found->count;
    shadow::seen.first = found->first;
    munmap(room, sizeof(shadow::reported));
    return n;
}

/// Memory of zeros for kernels, aligned as an allocation is.
struct zeros {
    std::list<std::vector<std::uint64_t>> all;
    template <class T = void>
    T* of(std::size_t bytes) {
        auto& v = all.emplace_back(bytes / 8 + 34);
        const auto at = reinterpret_cast<std::uintptr_t>(v.data());
        return reinterpret_cast<T*>((at + 255) / 256 * 256);
    }
    device_tensor tensor(int pixels, int channels, std::size_t each = 4) { return {of(static_cast<std::size_t>(pixels) * static_cast<std::size_t>(channels) * each), static_cast<long long>(pixels) * channels, channels}; }
};

/// Barriers that end a helper whose room this kernel does not use again, or begin one whose room it has not used before: the kernel would be right without them.
int spare_barriers(const std::string& kernel) {
    for (const char* with : {"find_range", "quantise", "level_patches", "decode_candidates", "multiply_rows_of_bytes"})
        if (kernel.starts_with(with)) return 1;
    return kernel == "choose_candidates" ? 2 : 0;
}

/// A launch of each kernel in which threads wait for each other; each block has more than one share of the work, so that what stands between two shares matters.
std::map<std::string, std::function<void()>> kernels_with_barriers(zeros& z) {
    std::map<std::string, std::function<void()>> all;
    const auto add = [&](const std::string& name, auto job, int blocks) {
        all[name] = [=, before = all[name]] {
            if (before) before();
            fake::run_kernel(name.c_str(), &job, blocks);
        };
    };
    for (const std::string type : {"_f32", "_f16", "_bf16"}) {
        const pixel_job five_rows{z.tensor(5, 300), z.tensor(5, 300), z.of<float>(1200), 300, 5, 1, 1, 1e-3F}, map_of_twenty{z.tensor(20, 64), z.tensor(1, 64), nullptr, 64, 20, 1, 1, 0};
        add("softmax" + type, five_rows, 2);
        add("to_unit_length" + type, five_rows, 2);
        add("pool_image" + type, map_of_twenty, 2);
        add("pool_image_eights" + type, map_of_twenty, 2);
        add("multiply_rows" + type, dense_job{z.tensor(9, 64), z.tensor(1, 20), z.of(4 * 20 * 64), z.of<float>(80), {}, 64, 20, 9, nullptr}, 2);
        const affine_job affine{z.tensor(50, 20), z.of<unsigned char>(3000), 0, z.of<int>(16), 2, 20, 50, 0};
        for (const char* kernel : {"find_range", "quantise_u8", "quantise_u16"}) add(kernel + type, affine, 2);
        add("multiply_rows_of_bytes" + type, byte_dense_job{z.tensor(1, 128, 1), z.tensor(1, 5), z.of(5 * 128), z.of<int>(20), z.of<float>(20), 70, 5, 0, 0}, 2);
        const byte_window_job dense{z.tensor(40, 256, 1), z.tensor(40, 24), {}, z.of(24 * 256), z.of<int>(96), z.of<float>(96), nullptr, 256, 1, 1, 24, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1};
        byte_window_job rows = dense;
        rows.in.image = 256, rows.out.image = 24;
        add("multiply_row_tiles" + type, gpu::byte_tile_job_of(rows, 40), 1);
    }
    add("pool_image_of_bytes", byte_move_job{z.tensor(20, 48, 1), z.tensor(1, 48, 1), z.of<byte_terms>(sizeof(byte_terms)), 40, 20}, 2);
    add("level_patches", patch_levels_job{z.of<float>(4000), z.of<short>(2000), 1000, z.of<int>(512), 64, z.of<int>(8)}, 2);
    choice_job choice{};
    choice.scores = z.of<float>(8000), choice.items = 1000, choice.most = 10, choice.counts = z.of<int>(8), choice.chosen = z.of<int>(80), choice.values = z.of<float>(80);
    add("choose_candidates", choice, 2);        // of a thousand alike ten
    choice.most = 1000, choice.chosen = z.of<int>(8000), choice.values = z.of<float>(8000);
    add("choose_candidates", choice, 2);        // all
    decode_job decode{};
    decode.parts[0] = {z.of<float>(4 * 300), z.of<float>(16 * 300), 300, 1, 0};
    decode.starts = z.of<float>(16 * 300), decode.counts = z.of<int>(8), decode.chosen = z.of<int>(80), decode.values = z.of<float>(80), decode.out = z.of<found_candidate>(24);
    decode.part_count = 1, decode.most = 10;
    add("decode_candidates", decode, 2);

    // A little more than one tile in each direction, which one block makes.
    const auto window = [&](int channels, int rows, int columns) {
        return window_job{z.tensor(rows + 8, channels, 2), z.tensor(rows + 8, columns + 4, 2), z.of(static_cast<std::size_t>(2 * (columns + 4) * channels)), z.of<float>(static_cast<std::size_t>(4 * (columns + 4))), {}, channels, 1, rows + 8, columns + 4, 1, rows + 8, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0};
    };
    for (const gpu::value_tile& t : gpu::value_tiles)
        for (const element e : {element::f16, element::bf16})
            for (const int channels : {64, 288}) add(kernel_names[static_cast<int>(t.is(e))], gpu::value_tile_job_of(window(channels, t.rows, t.columns), 1), 1);      // one step of the depth, and several
    const auto bytes = [&](int channels, int side, int rows, int columns) {
        const int pitch = graph::byte_pitch(channels, channels == 4), width = rows + 8, outs = columns + 4;
        return byte_window_job{z.tensor(width, pitch, 1), z.tensor(width, outs, 1), {}, z.of(static_cast<std::size_t>(outs) * gpu::sixty_fours(static_cast<std::size_t>(side * pitch))), z.of<int>(4 * static_cast<std::size_t>(outs)),
                               z.of<float>(4 * static_cast<std::size_t>(outs)), z.of<byte_terms>(sizeof(byte_terms)), channels, 1, width, outs, 1, width, 1, side, 1, 1, 0, side / 2, 1, 1};
    };
    for (const gpu::byte_tile& t : gpu::byte_tiles)
        for (const int channels : {64, 576}) add(kernel_names[static_cast<int>(t.is)], gpu::byte_tile_job_of(bytes(channels, 1, t.rows, t.columns), 1), 1);
    for (const int side : {5, 81}) add(kernel_names[static_cast<int>(gpu::picture_tile.is)], gpu::byte_tile_job_of(bytes(4, side, gpu::picture_tile.rows, gpu::picture_tile.columns), 1), 1);
    return all;
}
} // namespace

TEST_CASE("access rules: a barrier left out of any kernel, or a wait for its copies, is found") {
    const quiet while_here;
    zeros z;
    int left_out = 0;
    for (const auto& [name, run] : kernels_with_barriers(z)) {
        INFO(name);
        shadow::seen.barriers.clear(), shadow::seen.waits.clear();
        CHECK(reports(run) == 0);
        INFO(shadow::seen.first);
        const auto barriers = shadow::seen.barriers, waits = shadow::seen.waits;
        CHECK(!barriers.empty());
        CHECK(waits.empty() == (name.find("_tiles_") == std::string::npos));
        int number = 0, spare = 0;
        for (const auto* places : {&barriers, &waits})
            for (const auto& [kernel, place] : *places) {
                shadow::seen.left_out = place;
                const long found = reports_apart(run);
                INFO((places == &barriers ? "barrier " : "wait ") << ++number << " of " << barriers.size() << " and " << waits.size());
                spare += places == &barriers && found == 0;
                CHECK((found > 0 || spare <= spare_barriers(name)));
                ++left_out;
                shadow::seen.left_out = nullptr;
            }
    }
    std::printf("%d barriers and waits left out\n", left_out);
}

/// Empty if the first report says it, else what it says.
std::string said(const char* what) { return shadow::seen.first.find(what) == std::string::npos ? "instead: " + shadow::seen.first : ""; }

TEST_CASE("access rules: operands that are not aligned, end too early or are not all written are found") {
    const quiet while_here;
    zeros z;
    combine_job add{z.tensor(6, 16), z.tensor(6, 16), z.tensor(6, 16), nullptr, nullptr, {}, 6, 16, op_add, 0};
    const auto run_add = [&] { fake::run_kernel("combine_eights_f32", &add); };
    CHECK(reports(run_add) == 0);
    for (device_tensor* t : {&add.a, &add.b, &add.out}) {
        t->at = static_cast<char*>(t->at) + 4;          // a processor would not mind
        CHECK(reports_apart(run_add) > 0);
        CHECK(said("aligned") == "");
        t->at = static_cast<char*>(t->at) - 4;
    }
    add.channels = 12;          // two eights do not fit: the second one would be somebody else's, so the kernel makes one
    CHECK(reports_apart(run_add) > 0);
    CHECK(said("is not written") == "");

    // Four outputs at once: of 18 the last two are written behind the result's channels.
    window_job w{z.tensor(9, 64, 2), z.tensor(9, 24, 2), z.of(2 * 64 * 24), z.of<float>(4 * 24), {}, 64, 3, 3, 18, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0};
    const auto run_tile = [&] {
        const value_tile_job j = gpu::value_tile_job_of(w, 1);
        fake::run_kernel("convolve_half_tiles_16x16", &j, 1);
    };
    CHECK(reports_apart(run_tile) > 0);
    CHECK(said("outside of its operands") == "");
    w.out_channels = 16;
    CHECK(reports(run_tile) == 0);
    w.weight = static_cast<const char*>(w.weight) + 8;
    CHECK(reports_apart(run_tile) > 0);
    CHECK(said("not aligned") == "");
}

namespace {
/// Memory of the made-up device, and two streams that do not wait for each other.
struct two_streams {
    const kernels::cudnn::device on{without_cudnn(), options()};
    device_stream a{on}, b{on};
    device_event event{on};
    device_memory x{on, 1024}, y{on, 1024}, z{on, 1024};
    void add(const device_stream& stream, const device_memory& from, const device_memory& to, int channels = 256, unsigned threads = 256) const {
        const auto at = [&](const device_memory& m) { return device_tensor{reinterpret_cast<void*>(static_cast<std::uintptr_t>(m.at())), 0, channels}; };
        combine_job j{at(from), {}, at(to), nullptr, nullptr, {}, 1, channels, op_pass, 0};
        void* parameters[]{&j};
        on.driver().launch(on.function(kernel::combine, element::f32), 1, 1, 1, threads, 1, 1, 0, stream.get(), parameters, nullptr);
    }
    void order(const device_stream& first, const device_stream& then) const { on.driver().record_event(event.get(), first.get()), on.driver().wait_for_event(then.get(), event.get(), 0); }
};
} // namespace

TEST_CASE("access rules: work of streams that do not wait for each other is found where both touch the same bytes, and memory that nobody wrote") {
    fake::now = {};
    {
        const quiet while_here;
        const two_streams s;
        const std::vector<std::byte> values(1024);
        CHECK(reports([&] { s.add(s.a, s.x, s.y); }) > 0);
        CHECK(said("nothing was written there") == "");
        CHECK(reports([&] { s.x.fill_from(values.data(), values.size()); s.add(s.a, s.x, s.y); }) == 0);
        CHECK(reports([&] { s.add(s.b, s.y, s.z); }) > 0);
        CHECK(said("the write of a launch that need not be over") == "");
        CHECK(reports([&] { s.order(s.a, s.b), s.add(s.b, s.y, s.z); }) == 0);
        CHECK(reports([&] { s.add(s.a, s.x, s.y); }) > 0);
        CHECK(said("the read of a launch that need not be over") == "");
        CHECK(reports([&] { s.on.driver().wait(s.b.get()), s.on.driver().wait(s.a.get()), s.add(s.a, s.z, s.y); }) == 0);
        // Both read the same: nothing is wrong with that.
        CHECK(reports([&] { s.order(s.a, s.b), s.order(s.b, s.a), s.add(s.a, s.x, s.y), s.add(s.b, s.x, s.z); }) == 0);
        CHECK(reports([&] { s.add(s.a, s.x, s.y, 300); }) > 0);
        CHECK(said("ends behind its memory") == "");
        // 512 threads write 512 numbers into 256 places; whose the others are is known once their kernel ran.
        zeros of_all;
        for (const auto& [name, run] : kernels_with_barriers(of_all)) run();
        device_memory wide{s.on, 4096};
        const std::vector<std::byte> more(4096);
        wide.fill_from(more.data(), more.size());
        const device_tensor t{reinterpret_cast<void*>(static_cast<std::uintptr_t>(wide.at())), 0, 1024};
        pixel_job j{t, t, nullptr, 1024, 1, 1, 1, 0};
        void* parameters[]{&j};
        CHECK(reports([&] { s.on.driver().launch(s.on.function(kernel::softmax, element::f32), 1, 1, 1, 512, 1, 1, 0, s.a.get(), parameters, nullptr); }) > 0);
        CHECK(said("outside of its shared arrays") == "");
    }
    check_clean();
}

namespace {
struct branches {
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 3, .height = 13, .width = 9}) | named("stem", conv(16, {.kernel = 3})) | relu()
             | concat(named("a", conv(8, {.kernel = 1})) | relu(), named("b", conv(16, {.kernel = 1})) | relu() | named("c", conv(8, {.kernel = 3})),
                      named("d", conv(8, {.kernel = 1})) | named("e", conv(16, {.kernel = 3})) | relu(), max_pool({.kernel = 3, .stride = 1, .pad = 1}) | named("g", conv(8, {.kernel = 1})))
             | global_pool() | named("classes", dense(5));
    }
};
} // namespace

TEST_CASE("access rules: of branches beside each other every wait for an event that is left out is found") {
    const graph::description d = graph::description_of<branches>();
    const gpu::program program = gpu::program_of<branches>();
    const described_host host{d, program};
    const auto run = [&] {
        fake::now = {};
        const kernels::cudnn::device on(with_cudnn(), options());
        const gpu::gpu_engine engine(on, program, host.net, {.precision = precision::f32});
        const loaded n(d, engine.net_here());
        (void)n.whole(frame(d, engine.net_here(), 7));
    };
    const quiet while_here;
    shadow::seen.event_waits = 0;
    REQUIRE(reports(run) == 0);
    CHECK(fake::now.wrong == "");
    const long waits = shadow::seen.event_waits;
    CHECK(waits >= 3);
    for (long k = 0; k < waits; ++k) {
        shadow::seen.event_waits = 0, shadow::seen.left_out_event_wait = k;
        INFO("wait " << k << " of " << waits);
        const long found = reports(run);
        CHECK((found > 0 || !fake::now.wrong.empty()));         // or the capture's own stream does not wait for all
    }
    fake::now = {};
}

TEST_CASE("access rules: which kernels were not watched is said") {
    // By name the last of a run (--order lex).
    int missing = 0;
    for (int k = 0; k < kernels::cudnn::kernels; ++k)
        for (int e = 0; e < (is_typed(static_cast<kernel>(k)) ? elements : 1); ++e) {
            const std::string name = name_of(static_cast<kernel>(k), static_cast<element>(e));
            if (shadow::seen.launches.contains(name)) continue;
            std::printf("not watched: %s\n", name.c_str());
            ++missing;
        }
    std::printf("%d kernels were not watched\n", missing);
    CHECK(missing < kernels::cudnn::kernels * elements);
}
