// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file shadow.cpp
/// The made-up device's check of races, places, contents and forms: a cell for each byte, and the functions that -fsanitize=thread and
/// -fsanitize=alignment,bounds,shift,signed-integer-overflow call. Compiled without them.
#include "shadow.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <utility>

namespace fake::shadow {

log seen;

namespace {
constexpr std::size_t pool_bytes = std::size_t{1} << 34;         // reserved, not taken
constexpr std::size_t gap = 256;                                 // nobody's, between two pieces of memory
constexpr std::uint16_t thread_bits = 0x7ff, many = 0x800, other_blocks = 0x1000, atomic = 0x2000, in_flight = 0x4000;

/// Segments are stretches between barriers: numbered as they run, so those of a block, and of a launch, follow each other. 0: never; 1: the host, before everything.
struct cell {
    std::uint32_t written{}, read{};        // segments
    std::uint32_t readers{};                // sets of launches that read it since it was written
    std::uint16_t writer{}, reader{};       // threads
};
struct launch {
    std::uint32_t first{};                  // segment
    const void* stream{};
    long number{};
    int node{-1};
    long run{};                             // of a graph
};
struct region {
    std::uintptr_t begin{}, end{};
    std::unique_ptr<cell[]> cells;
    std::unique_ptr<std::uint32_t[]> allowed;
};

template <class T>
T* reserve(std::size_t count) {
    void* const p = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) std::perror("shadow memory"), std::abort();
    return static_cast<T*>(p);
}

std::uintptr_t pool{}, pool_end{};
cell* pool_cells{};
std::uint32_t* pool_allowed{};
std::map<std::uintptr_t, std::size_t> pieces;
std::vector<region> others;                 // heap that a test hands a kernel; pinned memory
std::size_t pinned_regions{};

std::uintptr_t data_begin{}, data_end{}, image_begin{}, image_end{};
constexpr std::uint16_t of_the_emulation = 1;
std::vector<std::uint16_t> data_kind;       // 0: nobody's; above 1: a shared array's number
std::vector<int> owners(2);                 // of each of these: the one kernel that has it, once that ran
std::map<std::string, int> kernel_numbers;
int kernel_number{};
std::vector<cell> data_cells;

std::vector<launch> launches(2);
std::uint32_t segment = 1, block_first{}, launch_first{};
std::uint32_t here_launch{};
const int* thread_now{};
std::uintptr_t stack_low{}, job_low{};
std::size_t stack_size{}, job_size{};
std::string kernel;
std::vector<operand> operands_now;
bool fragments_unwritten{}, reported_here{};

const clock* behind_now{};
const void* stream_now{};
long number_now{};
int node_now = -1;
long run_now{};
const std::vector<std::vector<bool>>* graph_now{};
void (*hears_of)(const std::string&){};

std::vector<std::vector<std::uint32_t>> reader_sets{{}};
std::map<std::vector<std::uint32_t>, std::uint32_t> numbers_of_sets{{{}, 0}};
std::uint32_t last_set_from = ~0U, last_set_to{}, set_ordered = ~0U;
std::uint32_t ordered_low{}, ordered_high{};         // segments of the launch that was last found to be ordered before this one

void find_shared_memory() {
    // The static objects of device functions, from this program's own symbols.
    struct place {
        std::uintptr_t base;
    } at{};
    dl_iterate_phdr([](dl_phdr_info* info, std::size_t, void* to) {
        static_cast<place*>(to)->base = info->dlpi_addr;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
            const auto& p = info->dlpi_phdr[i];
            if (p.p_type != PT_LOAD) continue;
            const std::uintptr_t begin = info->dlpi_addr + p.p_vaddr, end = begin + p.p_memsz;
            if (image_begin == 0) image_begin = begin;
            image_end = std::max(image_end, end);
            if (p.p_flags & PF_W) data_begin = begin, data_end = end;
        }
        return 1;
    }, &at);
    data_kind.assign(data_end - data_begin, 0);
    data_cells.assign(data_end - data_begin, {});
    std::ifstream file("/proc/self/exe", std::ios::binary);
    const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
    Elf64_Ehdr header;
    std::memcpy(&header, image.data(), sizeof header);
    std::vector<Elf64_Shdr> sections(header.e_shnum);
    std::memcpy(sections.data(), image.data() + header.e_shoff, sections.size() * sizeof(Elf64_Shdr));
    for (const Elf64_Shdr& s : sections) {
        if (s.sh_type != SHT_SYMTAB) continue;
        const char* const names = image.data() + sections[s.sh_link].sh_offset;
        for (std::size_t k = 0; k < s.sh_size / sizeof(Elf64_Sym); ++k) {
            Elf64_Sym symbol;
            std::memcpy(&symbol, image.data() + s.sh_offset + k * sizeof symbol, sizeof symbol);
            const std::uintptr_t begin = at.base + symbol.st_value;
            if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT || std::strncmp(names + symbol.st_name, "_ZZN8splitdsl7kernels5cudnn", 27) != 0) continue;
            if (begin < data_begin || begin + symbol.st_size > data_end) continue;
            std::fill_n(data_kind.begin() + static_cast<std::ptrdiff_t>(begin - data_begin), symbol.st_size, static_cast<std::uint16_t>(owners.size()));
            owners.push_back(0);
        }
    }
    if (owners.size() == 2) std::fputs("shadow: this program has no symbols, so its shared memory cannot be found\n", stderr), std::abort();
}
void open_pool() {
    if (pool != 0) return;
    pool = pool_end = reinterpret_cast<std::uintptr_t>(reserve<char>(pool_bytes));
    pool_cells = reserve<cell>(pool_bytes);
    pool_allowed = reserve<std::uint32_t>(pool_bytes);
    find_shared_memory();
}
void forget(std::size_t from, std::size_t bytes) {
    const auto clear = [](auto* cells, std::size_t begin, std::size_t count) {
        auto* const low = reinterpret_cast<char*>(cells + begin);
        auto* const first = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(low) + 4095) / 4096 * 4096);
        auto* const high = reinterpret_cast<char*>(cells + begin + count);
        auto* const last = reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(high) / 4096 * 4096);
        if (first >= last) return void(std::memset(low, 0, static_cast<std::size_t>(high - low)));
        std::memset(low, 0, static_cast<std::size_t>(first - low));
        madvise(first, static_cast<std::size_t>(last - first), MADV_DONTNEED);
        std::memset(last, 0, static_cast<std::size_t>(high - last));
    };
    clear(pool_cells, from, bytes);
    clear(pool_allowed, from, bytes);
}

std::string place_of(std::uintptr_t at) {
    char text[96];
    for (const operand& o : operands_now)
        if (at >= o.at && at < o.at + o.bytes) return std::string(o.name) + " at byte " + std::to_string(at - o.at) + " of " + std::to_string(o.bytes);
    if (at >= data_begin && at < data_end) return std::snprintf(text, sizeof text, "shared memory at %#zx", static_cast<std::size_t>(at - data_begin)), text;
    const operand* nearest = nullptr;
    for (const operand& o : operands_now)
        if (at >= o.at && (!nearest || o.at > nearest->at)) nearest = &o;
    if (nearest) return "byte " + std::to_string(at - nearest->at) + " from where " + nearest->name + " begins, which has " + std::to_string(nearest->bytes);
    return std::snprintf(text, sizeof text, "%#zx", static_cast<std::size_t>(at)), text;
}
void wrong(const char* what, std::uintptr_t at, std::size_t bytes, bool is_write) {
    if (std::exchange(reported_here, true)) return void(++seen.reports);
    report(kernel + ": " + what + ": a " + (is_write ? "write" : "read") + " of " + std::to_string(bytes) + " bytes, " + place_of(at) + ", by thread " + std::to_string(thread_now ? *thread_now : 0) +
           " of a launch's block " + std::to_string(block_first - launch_first));
}

bool is_ordered(std::uint32_t before) {
    const launch &a = launches[before], &b = launches[here_launch];
    if (before <= 1) return true;
    if (a.run != 0 && a.run == b.run) return a.node == b.node || (*graph_now)[static_cast<std::size_t>(b.node)][static_cast<std::size_t>(a.node)];
    if (!behind_now) return true;
    if (a.stream == b.stream && a.number == b.number) return true;
    const auto known = behind_now->find(a.stream);
    return known != behind_now->end() && known->second >= a.number;
}
/// Whether what an earlier launch did in a segment is over.
bool is_over(std::uint32_t in) {
    if (in >= ordered_low && in < ordered_high) return true;
    const auto next = std::upper_bound(launches.begin() + 1, launches.end(), in, [](std::uint32_t s, const launch& l) { return s < l.first; });
    const auto which = static_cast<std::uint32_t>(next - launches.begin()) - 1;
    if (!is_ordered(which)) return false;
    ordered_low = launches[which].first, ordered_high = next == launches.end() ? launch_first : next->first;
    return true;
}
bool readers_are_over(std::uint32_t set) {
    if (set == set_ordered) return true;
    for (const std::uint32_t l : reader_sets[set])
        if (!is_ordered(l)) return false;
    set_ordered = set;
    return true;
}
std::uint32_t with_this_reader(std::uint32_t set) {
    if (set == last_set_from) return last_set_to;
    std::vector<std::uint32_t> all;
    for (const std::uint32_t l : reader_sets[set])
        if (l != here_launch && !is_ordered(l)) all.push_back(l);
    all.push_back(here_launch);
    const auto [found, is_new] = numbers_of_sets.try_emplace(all, static_cast<std::uint32_t>(reader_sets.size()));
    if (is_new) reader_sets.push_back(all);
    return last_set_from = set, last_set_to = found->second;
}

/// The rules of order and content for one byte. `shared`: of this block alone.
template <bool Shared>
const char* fault(cell& c, bool is_write, std::uint16_t me, std::uint16_t how, bool unwritten_is_well) {
    const std::uint16_t writer = c.writer;
    if (writer & in_flight && c.written >= block_first) return "an access of what is being copied";
    if (c.written >= block_first) {
        if (c.written == segment && (writer & thread_bits) != me && !(how & writer & atomic)) return "a race with another thread's write";
    } else if (!Shared && c.written >= launch_first) {
        if (!(how & writer & atomic)) return "a race with another block's write";
    } else if (!Shared && c.written > 1) {
        if (!is_over(c.written)) return "a race with the write of a launch that need not be over";
    } else if ((Shared || c.written == 0) && (!is_write || how & atomic) && !unwritten_is_well) {
        return "nothing was written there";
    }
    if (!is_write) {
        if (!Shared && c.read < launch_first) c.readers = with_this_reader(c.readers);
        if (c.read == segment) {
            if ((c.reader & thread_bits) != me) c.reader |= many;
        } else {
            const std::uint16_t kept = c.read >= launch_first && c.read < block_first ? other_blocks : c.read >= block_first ? c.reader & other_blocks : 0;
            c.read = segment, c.reader = static_cast<std::uint16_t>(me | kept);
        }
        return nullptr;
    }
    if (c.read >= block_first) {
        if (c.read == segment && (c.reader & many || (c.reader & thread_bits) != me)) return "a race with another thread's read";
        if (!Shared && c.reader & other_blocks) return "a race with another block's read";
    } else if (!Shared && c.read >= launch_first) {
        return "a race with another block's read";
    }
    if (!Shared && c.readers != 0) {
        if (!readers_are_over(c.readers)) return "a race with the read of a launch that need not be over";
        c.readers = 0;
    }
    c.read = 0, c.reader = 0;
    c.written = segment, c.writer = static_cast<std::uint16_t>(me | how);
    return nullptr;
}

template <bool Shared>
void go_over(cell* cells, const std::uint32_t* allowed, std::uintptr_t at, std::size_t bytes, unsigned mode, std::uint16_t how) {
    const auto me = static_cast<std::uint16_t>(*thread_now);
    const bool is_write = mode & writes;
    for (std::size_t k = 0; k < bytes; ++k) {
        bool unwritten_is_well = mode & may_be_unwritten;
        if (!Shared) {
            unwritten_is_well = unwritten_is_well || seen.takes_times || seen.loads_plans;
            const std::uint32_t a = allowed[k];
            if (a >> 4 != here_launch) return wrong("outside of its operands", at + k, bytes, is_write);
            if (is_write && !(a & writes)) return wrong("an operand that is only read", at + k, bytes, true);
            if (!is_write && !(a & reads)) return wrong("an operand that is only written", at + k, bytes, false);
            unwritten_is_well = unwritten_is_well || a & may_be_unwritten;
        }
        if (const char* const what = fault<Shared>(cells[k], is_write, me, how, unwritten_is_well)) return wrong(what, at + k, bytes, is_write);
    }
}
region* other_of(std::uintptr_t at) {
    for (region& r : others)
        if (at >= r.begin && at < r.end) return &r;
    return nullptr;
}
void access(std::uintptr_t at, std::size_t bytes, unsigned mode, std::uint16_t how = 0) {
    if (at - stack_low < stack_size) return;
    if (at - pool < pool_end - pool) {
        const std::size_t k = at - pool;
        return go_over<false>(pool_cells + k, pool_allowed + k, at, bytes, mode, how);
    }
    if (at - data_begin < data_end - data_begin) {
        const std::size_t k = at - data_begin;
        const std::uint16_t array = data_kind[k];
        if (array == of_the_emulation) return;
        if (array != 0 && owners[array] == 0) owners[array] = kernel_number;
        if (array == 0 || owners[array] != kernel_number || k + bytes > data_kind.size() || data_kind[k + bytes - 1] != array) return wrong("outside of its shared arrays", at, bytes, mode & writes);
        return go_over<true>(data_cells.data() + k, nullptr, at, bytes, mode, how);
    }
    if (at - job_low < job_size || at == reinterpret_cast<std::uintptr_t>(&watching)) return;
    if (region* const r = other_of(at)) {
        if (at + bytes > r->end) return wrong("outside of its operands", r->end, bytes, mode & writes);
        return go_over<false>(r->cells.get() + (at - r->begin), r->allowed.get() + (at - r->begin), at, bytes, mode, how);
    }
    if (at >= image_begin && at < image_end && !(mode & writes)) return;        // constants
    wrong("outside of all memory", at, bytes, mode & writes);
}
/// Cells of an operand, wherever it lies.
void of_operand(const operand& o, auto act) {
    if (o.bytes == 0) return;
    if (o.at - pool < pool_end - pool) {
        const auto next = pieces.upper_bound(o.at);
        if (next == pieces.begin() || o.at + o.bytes > std::prev(next)->first + std::prev(next)->second) return report(kernel + ": operand " + o.name + " ends behind its memory");
        return act(pool_cells + (o.at - pool), pool_allowed + (o.at - pool));
    }
    if (region* const r = other_of(o.at); r && o.at + o.bytes <= r->end) act(r->cells.get() + (o.at - r->begin), r->allowed.get() + (o.at - r->begin));
}
/// Memory of the host that a test hands a kernel: all of it is written.
void take_in_host_memory() {
    std::vector<std::pair<std::uintptr_t, std::uintptr_t>> spans;
    for (const operand& o : operands_now)
        if (o.bytes > 0 && o.at - pool >= pool_end - pool && !other_of(o.at)) spans.emplace_back(o.at, o.at + o.bytes);
    std::sort(spans.begin(), spans.end());
    for (std::size_t i = 0; i < spans.size();) {
        region r{spans[i].first, spans[i].second, nullptr, nullptr};
        for (++i; i < spans.size() && spans[i].first <= r.end; ++i) r.end = std::max(r.end, spans[i].second);
        r.cells = std::make_unique<cell[]>(r.end - r.begin);
        r.allowed = std::make_unique<std::uint32_t[]>(r.end - r.begin);
        for (std::size_t k = 0; k < r.end - r.begin; ++k) r.cells[k].written = 1;
        others.push_back(std::move(r));
    }
}
} // namespace

void report(const std::string& what) {
    const unwatched here;
    ++seen.reports;
    if (seen.shared && seen.shared->count++ == 0) std::snprintf(seen.shared->first, sizeof seen.shared->first, "%s", what.c_str());
    if (seen.first.empty()) seen.first = what;
    if (!seen.keeps_quiet && hears_of) hears_of(what);
}
void report_to(void (*hears)(const std::string&)) { hears_of = hears; }
void leave_alone(const void* at, std::size_t bytes) {
    open_pool();
    if (data_kind[reinterpret_cast<std::uintptr_t>(at) - data_begin] == of_the_emulation) return;
    std::fill_n(data_kind.begin() + static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(at) - data_begin), bytes, of_the_emulation);
}

void* allocate(std::size_t bytes) {
    open_pool();
    if (pieces.empty()) pool_end = pool;
    const std::uintptr_t at = (pool_end + gap + 255) / 256 * 256;
    if (at + bytes + gap > pool + pool_bytes) std::fputs("shadow: its device has no more room\n", stderr), std::abort();
    pool_end = at + bytes;
    forget(at - pool, bytes);
    pieces[at] = bytes;
    return reinterpret_cast<void*>(at);
}
void release(void* at) {
    const auto piece = pieces.find(reinterpret_cast<std::uintptr_t>(at));
    forget(piece->first - pool, piece->second);
    const std::uintptr_t first = (piece->first + 4095) / 4096 * 4096, last = (piece->first + piece->second) / 4096 * 4096;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
    pieces.erase(piece);
}
void pin(void* at, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(at);
    region r{begin, begin + bytes, std::make_unique<cell[]>(bytes), std::make_unique<std::uint32_t[]>(bytes)};
    for (std::size_t k = 0; k < bytes; ++k) r.cells[k].written = 1;         // the host's doing is not watched
    others.insert(others.begin() + static_cast<std::ptrdiff_t>(pinned_regions++), std::move(r));
}
void unpin(void* at) {
    std::erase_if(others, [&](const region& r) { return r.begin == reinterpret_cast<std::uintptr_t>(at); });
    --pinned_regions;
}

void at_moment(const clock* behind, const void* stream, long number) { behind_now = behind, stream_now = stream, number_now = number; }
void begin_graph(const std::vector<std::vector<bool>>& behind) { graph_now = &behind, ++run_now; }
void at_node(int node) { node_now = node; }
bool runs_graph() { return graph_now != nullptr; }
void end_graph() { graph_now = nullptr, node_now = -1; }

void begin_launch(const std::string& name, std::vector<operand> operands, const int* thread) {
    static const int first_thread = 0;
    kernel = name, operands_now = std::move(operands), thread_now = thread ? thread : &first_thread;
    others.resize(pinned_regions);
    reported_here = false;
    here_launch = static_cast<std::uint32_t>(launches.size());
    launch_first = block_first = ++segment;
    launches.push_back({launch_first, stream_now, number_now, node_now, graph_now ? run_now : 0});
    last_set_from = set_ordered = ~0U, ordered_low = ordered_high = 0;
    fragments_unwritten = name.starts_with("convolve_tiles_") || name.starts_with("multiply_row_tiles");
    take_in_host_memory();
    for (const operand& o : operands_now)
        of_operand(o, [&](cell*, std::uint32_t* allowed) {
            for (std::size_t k = 0; k < o.bytes; ++k) {
                const unsigned before = allowed[k] >> 4 == here_launch ? allowed[k] & 15 : 0;
                allowed[k] = here_launch << 4 | before | o.mode;
            }
        });
    ++seen.launches[name];
    kernel_number = kernel_numbers.try_emplace(name, static_cast<int>(kernel_numbers.size()) + 1).first->second;
}
void begin_block() { block_first = ++segment; }
void on_stack(const void* low, std::size_t bytes) { stack_low = reinterpret_cast<std::uintptr_t>(low), stack_size = bytes; }
void takes_job(const void* job, std::size_t bytes) { job_low = reinterpret_cast<std::uintptr_t>(job), job_size = bytes; }
void end_launch() {
    for (const operand& o : operands_now) {
        if (!(o.mode & must_be_written) || reported_here) continue;
        of_operand(o, [&](cell* cells, std::uint32_t*) {
            for (std::size_t k = 0; k < o.bytes && !reported_here; ++k)
                if (cells[k].written < launch_first) {
                    reported_here = true;
                    report(kernel + ": " + o.name + " is not written at byte " + std::to_string(k) + " of " + std::to_string(o.bytes));
                }
        });
    }
    stack_size = job_size = 0;
    block_first = launch_first = ++segment;         // what comes now is another launch's
}
void whole(const std::string& name, std::vector<operand> operands) {
    begin_launch(name, std::move(operands), nullptr);
    for (const unsigned mode : {reads, writes})
        for (const operand& o : operands_now)
            if (o.mode & mode) of_operand(o, [&](cell* cells, std::uint32_t* allowed) { go_over<false>(cells, allowed, o.at, o.bytes, mode, 0); });
    end_launch();
}

bool passes_barrier(const void* site) { return seen.barriers.emplace(kernel, site), site != seen.left_out; }
bool passes_wait(const void* site) { return seen.waits.emplace(kernel, site), site != seen.left_out; }
void barrier_over() { ++segment; }
void touch(const void* at, std::size_t bytes, unsigned mode) { access(reinterpret_cast<std::uintptr_t>(at), bytes, mode); }
void touch_atomic(const void* at, std::size_t bytes) {
    access(reinterpret_cast<std::uintptr_t>(at), bytes, writes, atomic);
}
void begin_copy(const void* to, std::size_t bytes) {
    access(reinterpret_cast<std::uintptr_t>(to), bytes, writes);
    const std::size_t k = reinterpret_cast<std::uintptr_t>(to) - data_begin;
    for (std::size_t i = k; i < k + bytes && i < data_cells.size(); ++i)
        if (data_cells[i].written == segment) data_cells[i].writer |= in_flight;
}
void end_copy(const void* to, std::size_t bytes) {
    const std::size_t k = reinterpret_cast<std::uintptr_t>(to) - data_begin;
    for (std::size_t i = k; i < k + bytes && i < data_cells.size(); ++i)
        if (data_cells[i].writer & in_flight) data_cells[i].written = segment, data_cells[i].writer = static_cast<std::uint16_t>(*thread_now);
}
bool fragments_may_be_unwritten() { return fragments_unwritten; }

} // namespace fake::shadow

// What the compiler calls. A read of n bytes at an address that no object of n bytes can have is a fault of its own on a device.
namespace {
void watched(void* at, std::size_t bytes, unsigned mode) {
    if (fake::shadow::watching) fake::shadow::access(reinterpret_cast<std::uintptr_t>(at), bytes, mode);
}
void is_wrong(const char* what) {
    if (fake::shadow::watching) fake::shadow::wrong(what, 0, 0, false);
}
} // namespace
#define SPLITDSL_WATCHED(bytes)                                                                          \
    void __tsan_read##bytes(void* at) { watched(at, bytes, fake::shadow::reads); }                       \
    void __tsan_write##bytes(void* at) { watched(at, bytes, fake::shadow::writes); }                     \
    void __tsan_unaligned_read##bytes(void* at) { watched(at, bytes, fake::shadow::reads); }             \
    void __tsan_unaligned_write##bytes(void* at) { watched(at, bytes, fake::shadow::writes); }
#define SPLITDSL_UNDEFINED(name, what)                                     \
    void __ubsan_handle_##name(void*, void*, void*) { is_wrong(what); }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-declarations"
extern "C" {
SPLITDSL_WATCHED(1)
SPLITDSL_WATCHED(2)
SPLITDSL_WATCHED(4)
SPLITDSL_WATCHED(8)
SPLITDSL_WATCHED(16)
void __tsan_read_range(void* at, std::size_t bytes) { watched(at, bytes, fake::shadow::reads); }
void __tsan_write_range(void* at, std::size_t bytes) { watched(at, bytes, fake::shadow::writes); }
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}
// Of the library around device code, which has none of its own.
int __tsan_atomic32_fetch_add(volatile int* at, int by, int) { return __atomic_fetch_add(at, by, __ATOMIC_SEQ_CST); }
char __tsan_atomic8_load(const volatile char* at, int) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
void __ubsan_handle_type_mismatch_v1(void*, void* at) {
    if (fake::shadow::watching) fake::shadow::wrong("an address that its type is not aligned to, or none", reinterpret_cast<std::uintptr_t>(at), 0, false);
}
SPLITDSL_UNDEFINED(out_of_bounds, "an index beyond its array")
SPLITDSL_UNDEFINED(shift_out_of_bounds, "a shift by more bits than there are")
SPLITDSL_UNDEFINED(add_overflow, "a sum that is no int")
SPLITDSL_UNDEFINED(sub_overflow, "a difference that is no int")
SPLITDSL_UNDEFINED(mul_overflow, "a product that is no int")
SPLITDSL_UNDEFINED(negate_overflow, "a negative number that is no int")
SPLITDSL_UNDEFINED(divrem_overflow, "a division by 0")
}
#pragma GCC diagnostic pop
