// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file classify.cpp
/// Names what is on pictures with any classifier of the zoo, whole or split between two processes over TCP.
#include "../pictures/command_line.hpp"
#include "../pictures/files.hpp"
#include "../processes/serving_process.hpp"
#include "archive.hpp"
#include "backend.hpp"
#include "classifier.hpp"
#include "first_network.hpp"

#include <examples/options/exit_status.hpp>
#include <splitdsl/image/decode.hpp>
#include <splitdsl/link/host_port.hpp>
#include <splitdsl/link/tcp_listener.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace classify;
using namespace splitdsl;

namespace {

struct arguments : pictures::picture_arguments {
    std::string split, connect, bind{"127.0.0.1"}, offset{"down"}, codec{"f32"}, first, first_weights;
    options::gpu_choice backend;
    int serve{-1}, top{5};
    double deadline_s{10}, patience_s{5}, sure{0.8};
    bool cuts{};
};

void print_cuts(const pipeline& p) {
    std::printf("%-16s %10zu bytes of payload\n", "input", p.inputs[0].bytes);
    for (const cut_info& c : p.cuts) std::printf("%-16s %10zu bytes of payload, codec %s\n", c.name, c.payload_bytes, c.codec);
}

/// Until SIGINT or SIGTERM.
int serve(const zoo_networks::network& which, const arguments& a) {
    const processes::interruption end;
    const backend code{which, a.backend, a.codec};
    const pipeline& net = code.net();
    const zoo_networks::loaded_weights weights = which.load_for(a.weights, net);
    cloud_options options;
    options.weights_digest = weights.digest;
    options.workers = default_runner();
    const cloud_core cloud{net, weights.packed, options, std::make_unique<link::tcp_listener>(static_cast<std::uint16_t>(a.serve), a.bind)};
    std::printf("serving %s for %s, port %u\n", which.name, net.instruction_set, static_cast<unsigned>(cloud.port()));
    std::fflush(stdout);
    end.wait();
    const cloud_counters c = cloud.counters();
    code.report();
    std::printf("%llu requests, %llu answered\n", static_cast<unsigned long long>(c.requests), static_cast<unsigned long long>(c.answered));
    if (const std::string ended = endings_sentence(c); !ended.empty()) std::printf("%s\n", ended.c_str());
    return 0;
}

/// Every picture's results, in order; what cannot be read has an error instead.
class session_of_pictures {
public:
    session_of_pictures(classifier& c, first_network* asked_first, const pictures::label_list& l, const arguments& a)
        : network{c}, first{asked_first}, labels{l}, options{a}, offset{a.offset == "down" ? imaging::crop_offset::rounded_down : imaging::crop_offset::torchvision} {}

    void see_file(const std::string& file) {
        try {
            if (imaging::kind_of_file(file) == imaging::file_kind::zip) { // a file that cannot be read is refused by name when it is read whole
                const archive pictures{file, imaging::decode_options{}.most_file_bytes};
                bool any = false;
                for (std::uint64_t i = 0; i < pictures.size(); ++i) {
                    if (pictures.is_folder(i)) continue;
                    any = true;
                    see(pictures.name(i), pictures.place(i), [&] { return pictures.bytes(i); });
                }
                if (!any) failed(file, file + ": pictures were expected in the archive, found none");
                return;
            }
        } catch (const image_error& e) {
            failed(file, e.what());
            return;
        }
        see(file, file, [&] { return imaging::read_file(file); });
    }
    int failures() const { return errors; }
    int pictures() const { return seen; }
    timed_answers by_first{}, by_model{}; ///< of a cascade
    nlohmann::ordered_json results = nlohmann::ordered_json::array();

private:
    /// `place`: what errors call the picture.
    template <class Read>
    void see(const std::string& name, const std::string& place, Read read) {
        try {
            const std::vector<std::byte> bytes = read();
            imaging::shared_input input{imaging::decode(bytes, {.most_pixels = options.most_pixels, .name = place, .most_pixels_name = "--most-pixels"})};
            const auto count = static_cast<std::size_t>(options.top);
            nlohmann::ordered_json result{{"file", name}};
            std::vector<scored> best;
            if (first) {
                const auto& small = input.planes_for(first->recipe(offset));
                const auto& whole = input.planes_for(network.recipe(offset)); // both before the clock starts: it times the answers
                const auto begin = std::chrono::steady_clock::now();
                auto sure = first->recognise(small, count);
                best = sure ? std::move(*sure) : network.recognise(whole, count);
                const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
                (sure ? by_first : by_model).ms.push_back(ms);
                result["by"] = sure ? options.first : options.model;
                result["ms"] = ms;
            } else
                best = network.recognise(input.planes_for(network.recipe(offset)), count);
            nlohmann::ordered_json top = nlohmann::ordered_json::array();
            if (!options.quiet) std::printf("%s\n", name.c_str());
            for (const scored& s : best) {
                top.push_back({{"class", s.index}, {"logit", s.logit}});
                if (!options.quiet) std::printf("%10.4f  %s\n", static_cast<double>(s.logit), labels[s.index].c_str());
            }
            result["top"] = std::move(top);
            results.push_back(std::move(result));
            ++seen;
        } catch (const error& e) {
            failed(name, e.what());
        } catch (const std::bad_alloc&) { // the next picture may be smaller
            failed(name, "this machine has not the memory for it");
        }
    }
    void failed(const std::string& name, const std::string& why) {
        ++errors;
        std::fprintf(stderr, "classify: %s\n", why.find(name) != std::string::npos ? why.c_str() : (name + ": " + why).c_str());
        results.push_back({{"file", name}, {"error", why}});
    }

    classifier& network;
    first_network* first;
    const pictures::label_list& labels;
    const arguments& options;
    imaging::crop_offset offset;
    int seen{}, errors{};
};

int run(const arguments& a) {
    if (a.list) {
        std::printf("%s\n", names_of_all().c_str());
        return 0;
    }
    if (a.model.empty()) throw option_error("--model NAME is missing; there are: " + names_of_all());
    const zoo_networks::network& which = network_named(a.model);
    if (a.cuts) {
        print_cuts(pipeline_with(which, a.codec));
        return 0;
    }
    const bool split = !a.split.empty();
    if (split != !a.connect.empty()) throw option_error("--split CUT and --connect HOST:PORT belong together; cuts of " + a.model + ": " + names_of_cuts(which.pipeline()));
    if (a.codec != "f32" && !split && a.serve < 0) throw option_error("--codec " + a.codec + " says how cuts travel: it belongs to --split, --serve or --cuts");
    if (a.first.empty() != a.first_weights.empty()) throw option_error("--first NAME and --first-weights FILE belong together");
    const zoo_networks::network* const small = a.first.empty() ? nullptr : &network_named(a.first, "--first");
    const int cut = split ? cut_named(which, a.split) : -1;
    const link::host_port peer = split ? link::parse_host_port(a.connect, "--connect") : link::host_port{};
    if (a.weights.empty()) throw option_error("--weights FILE is missing");
    if (a.serve >= 0) return serve(which, a);
    if (a.pictures.empty()) throw option_error("a picture (JPEG, PNG) or a ZIP archive of pictures is missing");
    options::require_writable("--json", a.json);
    options::require_not_read("--json", a.json, a.pictures);
    options::require_not_read("--json", a.json, {a.weights, a.labels, a.first_weights});

    const backend code{which, a.backend, a.codec};
    classifier network{which, code.net(), a.weights};
    const pictures::label_list labels{names_of(which.meaning), network.classes(), a.labels};
    if (split) network.offload(cut, std::make_unique<link::tcp>(peer.host, peer.port), from_seconds(a.deadline_s), from_seconds(a.patience_s));

    std::optional<first_network> first;
    if (small) first.emplace(*small, a.first_weights, a.sure, network);
    session_of_pictures all{network, first ? &*first : nullptr, labels, a};
    for (const std::string& file : a.pictures) all.see_file(file);

    const nlohmann::ordered_json answered{{"cloud", network.answered(answer_source::cloud)}, {"edge", network.answered(answer_source::edge)}, {"fallback", network.answered(answer_source::fallback)}};
    if (split && network.late() > 0)
        std::fprintf(stderr, "%d pictures had no answer within the deadline, for this machine stood still: they were finished here\n", network.late());
    if (split)
        std::fprintf(stderr, "%d pictures split at %s: %d answered by %s, %d here after it failed to, %d here without asking; %zu bytes sent\n", all.pictures() - all.by_first.pictures(), a.split.c_str(),
                     network.answered(answer_source::cloud), a.connect.c_str(), network.answered(answer_source::fallback), network.answered(answer_source::edge), network.bytes_sent());
    if (first)
        std::fprintf(stderr, "%d pictures answered by %s alone%s, %d passed on to %s%s (both networks and the way); measured, means and 95 %% intervals\n",
                     all.by_first.pictures(), a.first.c_str(), all.by_first.text().c_str(), all.by_model.pictures(), a.model.c_str(), all.by_model.text().c_str());
    code.report();
    if (!a.json.empty()) {
        nlohmann::ordered_json document{{"model", a.model}, {"code", code.net().instruction_set}, {"weight_bytes", network.weight_bytes()}, {"results", std::move(all.results)}};
        if (split) document["split"] = {{"cut", a.split}, {"codec", a.codec}, {"answered_by", answered}, {"late", network.late()}, {"bytes_sent", network.bytes_sent()}};
        if (first) document["first"] = {{"model", a.first}, {"sure", a.sure}, {"answered", all.by_first.json()}, {"passed_on", all.by_model.json()}, {"label", "measured"}};
        pictures::write_json(a.json, document);
    }
    return all.failures() > 0 ? 1 : 0;
}

} // namespace

int main(int argc, char** argv) {
    arguments a;
    CLI::App app{"Names what is on pictures with a classifier of the zoo; exit status 1: some pictures could not be read, 2: nothing was done"};
    pictures::add_options(app, a, " (tools/imagenet_labels.py); CIFAR-10's are built in");
    auto* const files = app.add_option("pictures", a.pictures, "JPEG or PNG files, or ZIP archives of them")->type_name("PICTURE|ZIP");
    auto* const split = app.add_option("--split", a.split, "run up to this cut here and the rest at --connect (see --cuts)")->type_name("CUT");
    auto* const connect = app.add_option("--connect", a.connect, "where `classify --serve` runs; an IPv6 address in brackets")->type_name("HOST:PORT");
    app.add_option("--codec", a.codec, "how a cut's values travel, the same on both sides: 4 bytes each, or 1")->check(CLI::IsMember({"f32", "affine_u8"}))->capture_default_str();
    options::add_gpu_options(app, a.backend);
    auto* const serving = app.add_option("--serve", a.serve, "serve the tails behind all cuts on this port (0: any free one) until interrupted")->type_name("PORT")->check(options::between(0, 65535));
    app.add_option("--bind", a.bind, "address to serve on")->transform(link::without_brackets)->capture_default_str()->needs(serving);
    auto* const top = app.add_option("--top", a.top, "how many classes a picture")->check(options::between(1, 1000))->capture_default_str();
    auto* const offset = app.add_option("--crop-offset", a.offset, "where the centre crop begins if the margin is odd: down, or as torchvision")->check(CLI::IsMember({"down", "torchvision"}))->capture_default_str();
    app.add_option("--deadline", a.deadline_s, "seconds a split picture may take in all; what is not answered in time is finished here within them. Too few for that are refused")->check(options::between(0.01, 3600.0))->capture_default_str()->needs(split);
    app.add_option("--patience", a.patience_s, "seconds to wait for the other side at the start")->check(options::between(0.0, 3600.0))->capture_default_str()->needs(split);
    auto* const first = app.add_option("--first", a.first, "a small network that is asked first, here: --model is asked only where it is not sure")->type_name("NAME");
    auto* const first_weights = app.add_option("--first-weights", a.first_weights, "its safetensors file")->type_name("FILE");
    auto* const sure = app.add_option("--sure", a.sure, "from this confidence on, its largest softmax value, the answer of --first is the answer")->check(options::between(0.0, 1.0))->capture_default_str()->needs(first);
    auto* const cuts = app.add_flag("--cuts", a.cuts, "print the model's cuts");
    for (auto* const other : {split, connect, top, offset, files, first, first_weights, sure, app.get_option("--json"), app.get_option("--labels"), app.get_option("--most-pixels")})
        serving->excludes(other), cuts->excludes(other);
    cuts->excludes(serving);
    return options::exit_status("classify", app, argc, argv, [&] {
        options::require_gpu_options(app, a.backend);
        return run(a);
    });
}
