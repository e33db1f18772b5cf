// SPDX-License-Identifier: Apache-2.0
#include "ctl/inject.h"

#include <algorithm>

#include <boost/json.hpp>

#include "base/ip.h"
#include "base/text.h"
#include "ctl/inject_merge.h"
#include "ctl/inject_sidecar.h"
#include "ctl/inject_status.h"
#include "ctl/inject_undo.h"
#include "init/command_line.h"

namespace weir::ctl {

namespace json = boost::json;

namespace {

class Injector {
 public:
  Injector(YamlEdit& edit, const InjectOptions& options, std::vector<Problem>& problems)
      : edit_(edit), options_(options), problems_(problems) {}

  void run(const Workload& workload) {
    const std::size_t before = problems_.size();
    const Wish wish = read_wish(workload, options_, problems_);
    if (has_errors({problems_.begin() + static_cast<std::ptrdiff_t>(before), problems_.end()})) return;
    if (!wish.skip.empty()) {
      problems_.push_back(workload.problem(Severity::warning, workload.line, "", "not injected: " + wish.skip, ""));
      return;
    }
    const auto own = find_own_proxy(workload);
    const bool native = own ? own->native : wish.native.value_or(options_.native || workload.is_job());
    check_native(workload, wish, own, native);
    check_workload(workload, problems_);
    const Sidecar sidecar = make_sidecar(workload, wish, options_, native, own ? ids_of(*own) : ProxyIds(), problems_);
    if (has_errors({problems_.begin() + static_cast<std::ptrdiff_t>(before), problems_.end()})) return;
    if (auto done = put(workload, sidecar, own, wish); !done)
      problems_.push_back(workload.error(edit_.failed_line(), "", done.error().to_text(), ""));
  }

 private:
  void check_native(const Workload& workload, const Wish& wish, const std::optional<OwnProxy>& own, bool native) {
    if (own && wish.native && *wish.native != native)
      problems_.push_back(workload.error(own->container.line, own->container.to_text(),
                                         "contradicts the annotation sidecar.istio.io/nativeSidecar",
                                         native ? "move it to spec.containers" : "move it to spec.initContainers"));
    const std::string_view restart = workload.spec.node->text_of("restartPolicy");
    const bool ends = workload.is_job() || (workload.kind == "Pod" && (restart == "Never" || restart == "OnFailure"));
    if (ends && !native)
      problems_.push_back(workload.problem(
          Severity::warning, workload.line, "", "the proxy does not end with the application, so these pods never complete",
          "use --native-sidecars (Kubernetes 1.29), or end it from the application: POST /quitquitquit to 127.0.0.1:15020"));
  }

  Result<> put(const Workload& workload, const Sidecar& sidecar, const std::optional<OwnProxy>& own, const Wish& wish) {
    Status status{.revision = wish.revision};
    json::array before, after, containers;  // init containers before and after the workload's own
    if (sidecar.init) (sidecar.native ? before : after).push_back(*sidecar.init);
    if (own) {
      if (auto merged = merge(edit_, *own, sidecar.proxy, status); !merged) return merged;
    } else {
      (sidecar.native ? before : containers).push_back(sidecar.proxy);
    }
    const json::array& initial = before.empty() ? after : before;
    for (const json::value& container : initial) status.init_containers.emplace_back(container.at("name").as_string().c_str());
    if (own || !containers.empty()) (sidecar.native ? status.init_containers : status.containers).emplace_back(kProxyName);
    for (const json::value& volume : sidecar.volumes) status.volumes.emplace_back(volume.at("name").as_string().c_str());

    json::object fresh;
    if (auto done = put_list(workload, "containers", sidecar.first, containers, fresh, status); !done) return done;
    if (auto done = put_list(workload, "initContainers", !before.empty(), initial, fresh, status); !done) return done;
    if (auto done = put_list(workload, "volumes", false, sidecar.volumes, fresh, status); !done) return done;
    if (!fresh.empty())
      if (auto done = edit_.append(workload.spec, fresh); !done) return done;
    return annotate(workload, sidecar, status);
  }

  Result<> put_list(const Workload& workload, const char* key, bool first, const json::array& items, json::object& fresh,
                    Status& status) {
    if (items.empty()) return {};
    const auto list = workload.spec.find(key);
    if (!list) {
      fresh[key] = items;
      status.created.emplace_back(key);
      return {};
    }
    if (list->node->is_null()) return edit_.fill(*list, items);
    if (list->node->items.empty() && !list->node->flow) return edit_.fill(*list, items);
    return edit_.insert(*list, first, items);
  }

  Result<> annotate(const Workload& workload, const Sidecar& sidecar, Status& status) {
    json::object added;
    const auto first = workload.spec.find("containers");
    constexpr const char* kDefault = "kubectl.kubernetes.io/default-container";
    if (sidecar.first && !workload.annotations.contains(kDefault)) added[kDefault] = first->node->items.front()->text_of("name");
    // Else it runs at the pod's first start only, and a second one gets a network namespace without rules.
    if (options_.podman && sidecar.init && !workload.annotations.contains(std::string(kPodmanInitType)))
      added[kPodmanInitType] = "always";
    for (const auto& [name, value] : added) status.annotations.emplace_back(name);
    status.annotations.emplace_back(kStatus);
    const auto metadata = workload.pod.find("metadata");
    const bool has_metadata = metadata && !metadata->node->is_null();
    const auto annotations = has_metadata ? metadata->find("annotations") : std::nullopt;
    if (!metadata) status.created.emplace_back("metadata");
    if (!annotations) status.created.emplace_back("annotations");
    const auto text = options_.podman ? to_short_text(status) : to_text(status);
    if (!text) {
      problems_.push_back(workload.error(workload.line, "",
                                         "has a container istio-proxy already, and what is added to it does not "
                                         "fit into an annotation of Podman's (63 bytes)",
                                         "leave that container out"));
      return {};
    }
    added[kStatus] = *text;
    if (!metadata) return edit_.append(workload.pod, {{"metadata", {{"annotations", std::move(added)}}}});
    if (!has_metadata) return edit_.fill(*metadata, json::object{{"annotations", std::move(added)}});
    if (!annotations) return edit_.append(*metadata, {{"annotations", std::move(added)}});
    if (annotations->node->is_null()) return edit_.fill(*annotations, added);
    return edit_.append(*annotations, added);
  }

  YamlEdit& edit_;
  const InjectOptions& options_;
  std::vector<Problem>& problems_;
};

bool is_word(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\''; });
}

bool is_path(std::string_view text) { return is_word(text) && text.starts_with('/') && text.size() > 1 && !text.ends_with('/'); }

}  // namespace

std::vector<Problem> check(const InjectOptions& options) {
  std::vector<Problem> problems;
  auto wrong = [&](const char* flag, const std::string& value, const char* what, const char* hint) {
    problems.push_back(
        {Severity::error, {}, fmt::format("flag --{}", flag), "", fmt::format("\"{}\" is no {}", printable(value), what), hint});
  };
  if (!is_word(options.image)) wrong("image", options.image, "image", "write one like registry.example/weir/proxy:1");
  if (!is_word(options.init_image))
    wrong("init-image", options.init_image, "image", "write one like registry.example/weir/init:1");
  const bool is_unix = options.agent.starts_with("unix:") && is_path(std::string_view(options.agent).substr(5));
  const std::string_view local = "localhost:";
  const bool is_local =
      options.agent.starts_with(local) && parse_uint(std::string_view(options.agent).substr(local.size()), 65535).value_or(0) > 0;
  if (!is_unix && !is_local && !SocketAddr::parse(options.agent))
    wrong("agent", options.agent, "address of an agent", "write unix:/PATH, IP:PORT or [IP]:PORT");
  if (!options.state_dir.empty() && !is_path(options.state_dir))
    wrong("state-dir", options.state_dir, "path", "write one like /var/lib/weir, or off");
  if (!options.revision.empty() && !is_word(options.revision))
    wrong("revision", options.revision, "revision", "write one like canary");
  // weir-init says itself what is wrong with its flags.
  std::vector<std::string> flags = {"--start-gate=" + options.start_gate};
  if (!options.backend.empty()) flags.push_back("--backend=" + options.backend);
  for (Problem& problem : init::parse_command_line(flags, {}, {}).problems)
    if (problem.severity == Severity::error) problems.push_back(std::move(problem));
  return problems;
}

Injected inject(const std::string& file, const std::string& text, const InjectOptions& options) {
  Injected result;
  Undone undone = undo(file, text);
  result.problems = undone.problems;
  if (has_errors(result.problems)) return result;
  mesh::yaml::Documents read = mesh::yaml::read(file, undone.text);
  result.problems = read.problems;
  for (Problem& problem : result.problems) problem.hint.clear();  // no document is left out here
  if (has_errors(result.problems)) return result;

  YamlEdit edit(undone.text, std::move(read.documents));
  Injector injector(edit, options, result.problems);
  for (const Workload& workload : find_workloads(file, edit, result.problems)) injector.run(workload);
  for (Problem& problem : result.problems) problem.where.line = undone.line_of(problem.where.line);
  std::stable_sort(result.problems.begin(), result.problems.end(),
                   [](const Problem& a, const Problem& b) { return a.where.line < b.where.line; });
  if (has_errors(result.problems)) return result;
  auto refuse = [&](const std::string& why) {
    result.problems.push_back(
        {Severity::error, {file, 0}, "", "", why, "write what is to be injected without anchors and brackets"});
  };
  auto edited = edit.finish();
  if (!edited)
    refuse(edited.error().to_text());
  else if (undo(file, *edited).text != undone.text)
    refuse("cannot be edited safely: --uninject would not give these bytes back");
  else
    result.text = std::move(*edited);
  return result;
}

Injected uninject(const std::string& file, const std::string& text) {
  Undone undone = undo(file, text);
  return {std::move(undone.text), std::move(undone.problems)};
}

}  // namespace weir::ctl
