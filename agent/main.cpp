// SPDX-License-Identifier: Apache-2.0
// weir-agent: wires the rules directory to the ADS service.
#include <csignal>
#include <cstdio>
#include <memory>

#include "agent/ads_service.h"
#include "agent/debug_pages.h"
#include "agent/debug_service.h"
#include "agent/last_good.h"
#include "agent/options.h"
#include "agent/rule_set.h"
#include "agent/rule_source.h"
#include "base/log.h"
#include "io/executor.h"
#include "kernel/state_dir.h"

namespace weir::agent {

namespace {

constexpr auto kCoalesce = std::chrono::milliseconds(2);
constexpr auto kSaveDelay = std::chrono::milliseconds(500);  // a burst of changes is one write
constexpr auto kSaveRetry = std::chrono::seconds(5);         // a disk may get room again
constexpr std::string_view kStateFile = "last-good.rules";
constexpr int kTornReads = 5;                                 // then what was read is used, even if it goes on changing
constexpr auto kDrainLimit = std::chrono::milliseconds(250);  // for the last bytes to proxies

class Agent {
 public:
  explicit Agent(Options options)
      : options_(std::move(options)),
        rules_(options_.domain),
        service_(executor_, "weir-agent " WEIR_VERSION),
        debug_(executor_, [this](std::string_view path, const std::string& proxy_id) { return debug_page(path, proxy_id); }),
        leave_(executor_, [this] { executor_.stop(); }),
        save_(executor_, [this] { save(); }) {}

  Result<> start() {
    restore();
    if (auto loaded = reload(); !loaded) return loaded;
    log::info("{} objects in {}; ignored: {}", rules_.store()->objects().size(), options_.rules, ignored_text());
    std::vector<std::string> files;
    if (!options_.mesh_config.empty()) files.push_back(options_.mesh_config);
    auto watch = RuleWatch::create(executor_, options_.rules, files, kCoalesce, [this] { reload_or_tell(); });
    if (!watch) return pass(watch.error());
    watch_ = std::move(*watch);
    // Read once more: what changed between the first reading and the watch would be missed otherwise.
    if (auto loaded = reload(); !loaded) return loaded;
    for (const Listen& listen : options_.listens)
      if (auto listening = this->listen(listen); !listening) return listening;
    for (const Listen& listen : options_.debug_listens)
      if (auto listening = listen_debug(listen); !listening) {
        if (!options_.debug_by_default) return listening;
        log::warn("no debug endpoint: {}; --debug-listen says where else, or none", listening.error().to_text());
      }
    return executor_.on_signals({SIGTERM, SIGINT, SIGHUP}, [this](int signal) { on_signal(signal); });
  }
  void run() {
    executor_.run();
    if (save_.armed()) save();
  }

 private:
  Result<> reload() {
    auto began = io::Clock::now();
    auto texts = read_directory(options_.rules);
    if (!texts) return pass(texts.error());
    if (watch_ && ++torn_reads_ < kTornReads && watch_->catch_up()) return {};  // changed under our eyes: we are told again
    torn_reads_ = 0;
    keep_unfinished(*texts);
    std::optional<Result<std::string>> mesh_text;
    if (!options_.mesh_config.empty()) mesh_text = read_rule_file(options_.mesh_config);
    RuleSet::Change change = rules_.update(*texts, options_.mesh_config, mesh_text);
    for (const Problem& problem : change.appeared) {
      if (problem.severity == Severity::error) log::error("{}", to_text(problem));
      if (problem.severity == Severity::warning) log::warn("{}", to_text(problem));
    }
    for (const Problem& problem : change.gone) log::info("mended: {}", to_text(problem));
    auto understood = io::Clock::now();
    if (change.effective) service_.set_rules(rules_.store(), rules_.settings());
    if (change.effective && !options_.state_dir.empty() && !save_.armed()) save_.expires_after(kSaveDelay);
    using Milliseconds = std::chrono::duration<double, std::milli>;
    log::debug("rules read in {:.1f} ms, published in {:.1f} ms", Milliseconds(understood - began).count(),
               Milliseconds(io::Clock::now() - understood).count());
    return {};
  }

  void reload_or_tell() {
    auto loaded = reload();
    if (!loaded && !is_blind_) log::error("{}; the last good rules stay", loaded.error().to_text());
    if (loaded && is_blind_) log::info("the rules directory {} is there again", options_.rules);
    is_blind_ = !loaded;
  }

  /// What was in force when the last agent ran. Nothing that goes wrong here hinders serving.
  void restore() {
    if (options_.state_dir.empty()) return;
    auto dir = kernel::StateDir::open(options_.state_dir);
    if (!dir) return save_failed(dir.error());
    state_dir_ = std::move(*dir);
    auto bytes = state_dir_->load(kStateFile);
    if (bytes && !*bytes) return;
    auto good = bytes ? decode(**bytes) : Result<LastGood>(pass(bytes.error()));
    if (!good)
      return log::warn("last good rules in {} ignored, the rules directory alone counts: {}", state_dir_->file(kStateFile),
                       good.error().to_text());
    rules_.restore(*good, !options_.mesh_config.empty());
    log::info("last good rules loaded from {}: {} objects; they count for what is broken now", state_dir_->file(kStateFile),
              rules_.store()->objects().size());
  }

  void save() {
    if (!state_dir_) {
      auto dir = kernel::StateDir::open(options_.state_dir);
      if (!dir) return save_failed(dir.error());
      state_dir_ = std::move(*dir);
    }
    if (auto saved = state_dir_->save(kStateFile, encode(rules_.last_good())); !saved) return save_failed(saved.error());
    if (!save_failure_.empty()) log::info("last good rules saved again in {}", state_dir_->file(kStateFile));
    save_failure_.clear();
  }

  /// Said once for each reason, tried again until it works.
  void save_failed(const Error& error) {
    if (const std::string why = error.to_text(); why != save_failure_) {
      log::error(
          "last good rules not saved: {}; serving goes on, but a rule that is broken when the agent starts again would find {}",
          why, state_dir_ ? "the form saved before" : "no last good form");
      save_failure_ = why;
    }
    save_.expires_after(kSaveRetry);
  }

  /// A file that somebody is writing counts as it was before.
  void keep_unfinished(RuleTexts& texts) {
    if (watch_) {
      for (const std::string& name : watch_->unfinished()) {
        std::string path = options_.rules + "/" + name;
        auto before = texts_.find(path);
        if (before == texts_.end()) {
          texts.erase(path);
        } else {
          texts.insert_or_assign(path, before->second);
        }
      }
    }
    texts_ = texts;
  }

  Result<> listen(const Listen& listen) {
    if (const auto* local = std::get_if<UnixListen>(&listen)) {
      if (auto listening = service_.listen_unix(local->path, options_.socket_mode); !listening) return listening;
      log::info("serving ADS on unix:{}", local->path);
      return {};
    }
    if (auto listening = service_.listen_tcp(std::get<SocketAddr>(listen)); !listening) return listening;
    log::info("serving ADS on {} (plain text)", service_.tcp_address().to_text());
    return {};
  }

  Result<> listen_debug(const Listen& listen) {
    if (const auto* local = std::get_if<UnixListen>(&listen)) return debug_.listen_unix(local->path, options_.socket_mode);
    return debug_.listen_tcp(std::get<SocketAddr>(listen));
  }

  DebugAnswer debug_page(std::string_view path, const std::string& proxy_id) const {
    static const std::string kJson = "application/json";
    if (path == "/ready") return {.body = "ready\n"};
    if (path == "/debug/syncz") return {.body = syncz(service_.proxies()), .content_type = kJson};
    if (path == "/debug/config_dump") {
      auto dump = config_dump(service_.proxies(), proxy_id);
      if (!dump) return {404, dump.error().to_text() + "\n"};
      return {.body = std::move(*dump), .content_type = kJson};
    }
    return {404, "pages: /ready, /debug/syncz, /debug/config_dump?proxyID=POD.NAMESPACE\n"};
  }

  void on_signal(int signal) {
    if (signal == SIGHUP) return reload_or_tell();
    if (leave_.armed()) return executor_.stop();
    log::info("leaving; proxies keep their last good configuration");
    service_.drain();
    for (const auto* listens : {&options_.listens, &options_.debug_listens})
      for (const Listen& listen : *listens)
        if (const auto* local = std::get_if<UnixListen>(&listen)) std::remove(local->path.c_str());
    leave_.expires_after(kDrainLimit);
  }

  std::string ignored_text() const {
    std::string text;
    for (const auto& [kind, count] : rules_.ignored()) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kind);
    return text.empty() ? "nothing" : text;
  }

  Options options_;
  io::Executor executor_;
  RuleSet rules_;
  RuleTexts texts_;
  int torn_reads_ = 0;
  bool is_blind_ = false;  // the directory could not be read
  AdsService service_;
  DebugService debug_;
  std::unique_ptr<RuleWatch> watch_;
  io::Timer leave_;
  io::Timer save_;
  std::optional<kernel::StateDir> state_dir_;
  std::string save_failure_;  // why the last save failed
};

/// Reads once, prints every problem; a line at the end says how many.
int validate(const Options& options) {
  auto texts = read_directory(options.rules);
  if (!texts) {
    fmt::print(stderr, "weir-agent: {}\n", texts.error().to_text());
    return exit_code(texts.error());
  }
  std::optional<Result<std::string>> mesh_text;
  if (!options.mesh_config.empty()) mesh_text = read_rule_file(options.mesh_config);
  RuleSet rules(options.domain);
  rules.update(*texts, options.mesh_config, mesh_text);
  std::size_t errors = 0;
  for (const Problem& problem : rules.problems()) {
    fmt::print("{}\n", to_text(problem));
    errors += problem.severity == Severity::error ? 1U : 0U;
  }
  fmt::print("{} objects, {} errors, {} warnings\n", rules.store()->objects().size(), errors, rules.problems().size() - errors);
  return errors == 0 ? 0 : 1;
}

int run(int argc, char** argv) {
  ParsedOptions parsed = parse_options(argc, argv);
  if (!parsed.text.empty()) {
    fmt::print("{}", parsed.text);
    return 0;
  }
  for (const Problem& problem : parsed.problems) fmt::print(stderr, "weir-agent: {}\n", to_text(problem));
  if (!parsed.options) return 1;
  if (parsed.options->validate) return validate(*parsed.options);

  log::init("weir-agent", parsed.options->log_level);
  std::signal(SIGPIPE, SIG_IGN);
  Agent agent(std::move(*parsed.options));
  if (auto started = agent.start(); !started) {
    log::error("{}", started.error().to_text());
    return exit_code(started.error());
  }
  agent.run();
  return 0;
}

}  // namespace

}  // namespace weir::agent

int main(int argc, char** argv) { return weir::agent::run(argc, argv); }
