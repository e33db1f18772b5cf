// SPDX-License-Identifier: Apache-2.0
#include "cni-plugin/install.h"

#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "cni-plugin/chain.h"

namespace weir::cni {

namespace {

using kernel::WholeFile;

/// What libcni's loader reads, in this order of its own (libcni/conf.go: ConfFiles).
constexpr std::array<std::string_view, 3> kExtensions = {".conf", ".conflist", ".json"};
constexpr mode_t kBinaryMode = 0755, kConfigMode = 0600;
constexpr std::string_view kDropInName = "weir-cni.conf";

std::string_view extension_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot);
}

bool is_config(std::string_view name) {
  return std::find(kExtensions.begin(), kExtensions.end(), extension_of(name)) != kExtensions.end();
}

std::string as_list(std::string_view name) {
  return std::string(name.substr(0, name.size() - extension_of(name).size())) + ".conflist";
}

bool is_our_entry(std::string_view text) {
  auto entry = parse_json(text);
  if (!entry || !entry->is_object()) return false;
  const boost::json::value* type = entry->get_object().if_contains("type");
  return type != nullptr && type->is_string() && std::string_view(type->get_string()) == kPluginType;
}

/// One valid file of net_dir.
struct Config {
  std::string name;
  WholeFile file;
  ChainFile chain;
};

/// A pass over the node. With `acts` false it only says what it would do.
class Installer {
 public:
  Installer(const NodeFiles& files, const Place& place, bool acts) : files_(files), place_(place), acts_(acts) {}

  /// What a kill left half-written.
  Result<> tidy() {
    if (!acts_) return {};
    for (const std::string& directory : {place_.bin_dir, place_.net_dir})
      if (auto done = files_.remove_temporary(directory); !done) return done;
    auto names = files_.names(place_.net_dir);
    if (!names) return weir::pass(names.error());
    for (const std::string& name : names->value_or(std::vector<std::string>())) {
      if (is_config(name)) continue;
      if (auto done = files_.remove_temporary(path_of(name)); !done && done.error().sys_errno() != ENOTDIR) return done;
    }
    return {};
  }

  Result<> put_binary(std::string_view binary) {
    const std::string path = binary_path();
    auto there = files_.read(path);
    if (!there) return weir::pass(there.error());
    if (*there && (*there)->bytes == binary && (*there)->mode == kBinaryMode) return {};
    return act(fmt::format("{} {}", *there ? "replaced" : "put in place", path),
               [&] { return files_.replace(path, binary, kBinaryMode); });
  }

  Result<> put_entry(std::string_view entry) {
    auto found = configs();
    if (!found) return weir::pass(found.error());
    auto chosen = choose(*found);
    if (!chosen) return weir::pass(chosen.error());
    for (const Config& config : *chosen) {
      auto put = place_.drop_in ? put_drop_in(config, entry) : put_inline(config, *found, entry);
      if (!put) return put;
    }
    return {};
  }

  Result<> take_entries() {
    auto found = configs();
    if (!found) return weir::pass(found.error());
    for (const Config& config : *found)
      if (auto taken = take_inline(config); !taken) return taken;
    auto names = files_.names(place_.net_dir);
    if (!names) return weir::pass(names.error());
    for (const std::string& name : names->value_or(std::vector<std::string>()))
      if (!is_config(name))
        if (auto taken = take_drop_in(name); !taken) return taken;
    return {};
  }

  Result<> take_binary() {
    const std::string path = binary_path();
    auto there = files_.read(path);
    if (!there) return weir::pass(there.error());
    if (!*there) return {};
    return act(fmt::format("removed {}", path), [&] { return removed(path); });
  }

  Pass&& result() && { return std::move(pass_); }

 private:
  std::string binary_path() const { return fmt::format("{}/{}", place_.bin_dir, kPluginType); }
  std::string path_of(std::string_view name) const { return fmt::format("{}/{}", place_.net_dir, name); }
  std::string drop_in_path(std::string_view network) const {
    return fmt::format("{}/{}/{}", place_.net_dir, network, kDropInName);
  }

  Result<> removed(const std::string& path) const {
    auto done = files_.remove(path);
    if (!done) return weir::pass(done.error());
    return {};
  }

  template <class F>
  Result<> act(std::string said, F step) {
    if (acts_)
      if (auto done = step(); !done) return done;
    pass_.done.push_back(std::move(said));
    return {};
  }

  /// All valid ones, in the runtime's order; of the others a note.
  Result<std::vector<Config>> configs() {
    auto names = files_.names(place_.net_dir);
    if (!names) return weir::pass(names.error());
    std::vector<Config> found;
    for (const std::string& name : names->value_or(std::vector<std::string>())) {
      if (!is_config(name)) continue;
      auto file = files_.read(path_of(name));
      if (file && !*file) continue;  // it has gone meanwhile
      auto chain = file ? read_chain((*file)->bytes) : Result<ChainFile>(weir::pass(file.error()));
      if (chain)
        found.push_back({.name = name, .file = std::move(**file), .chain = std::move(*chain)});
      else
        pass_.notes.push_back(fmt::format("{}: {}", path_of(name), chain.error().to_text()));
    }
    return found;
  }

  /// What the runtime takes, or what was asked for by name, also if it has become a list meanwhile.
  Result<std::vector<Config>> choose(const std::vector<Config>& found) {
    std::vector<Config> chosen;
    if (place_.conf_names.empty()) {
      if (!found.empty()) return std::vector<Config>{found.front()};
      pass_.waiting = fmt::format("a network configuration in {}", place_.net_dir);
      return chosen;
    }
    std::vector<std::string> missing;
    for (const std::string& name : place_.conf_names) {
      auto it = std::find_if(found.begin(), found.end(), [&](const Config& config) { return config.name == name; });
      if (it == found.end())
        it = std::find_if(found.begin(), found.end(), [&](const Config& config) { return config.name == as_list(name); });
      if (it == found.end())
        missing.push_back(path_of(name));
      else
        chosen.push_back(*it);
    }
    if (!missing.empty()) pass_.waiting = join(missing, ", ");
    return chosen;
  }

  Result<> put_inline(const Config& config, const std::vector<Config>& all, std::string_view entry) {
    auto text = with_entry(config.file.bytes, entry, config.name);
    if (!text) return weir::pass(text.error(), path_of(config.name));
    if (!config.chain.is_list) {
      if (auto made = make_list(config, all, *text); !made) return made;
    } else if (*text != config.file.bytes) {
      const std::string path = path_of(config.name);
      auto put =
          act(fmt::format("{} the entry {} {}", config.chain.entry ? "renewed" : "put", config.chain.entry ? "in" : "into", path),
              [&] { return files_.replace(path, *text, config.file.mode); });
      if (!put) return put;
    }
    return take_drop_in(config.chain.name);
  }

  /// The list first: as long as both are there the runtime takes the one or the other, and both make the interface.
  Result<> make_list(const Config& single, const std::vector<Config>& all, const std::string& text) {
    const std::string list = as_list(single.name);
    for (const Config& other : all)
      if (other.name == list && made_from(other.file.bytes) != single.name)
        return fail(ErrorCode::environment,
                    "{} is one plugin and must become {}, which somebody else has written; remove one of them",
                    path_of(single.name), path_of(list));
    return act(fmt::format("made {} of {}, with the entry", path_of(list), path_of(single.name)), [&]() -> Result<> {
      if (auto put = files_.replace(path_of(list), text, single.file.mode); !put) return put;
      return removed(path_of(single.name));
    });
  }

  Result<> put_drop_in(const Config& config, std::string_view entry) {
    if (!config.chain.is_list || config.chain.loads_only_inlined)
      return fail(
          ErrorCode::usage, "{} {}; install without --drop-in", path_of(config.name),
          config.chain.is_list ? "says loadOnlyInlinedPlugins, so that drop-ins are not read" : "is one plugin and no list");
    const std::string directory = path_of(config.chain.name), path = drop_in_path(config.chain.name);
    auto there = files_.read(path);
    if (!there) return weir::pass(there.error());
    const std::string text = std::string(trim(entry)) + "\n";
    if (!*there || (*there)->bytes != text) {
      auto put = act(fmt::format("{} {}", *there ? "renewed" : "put in place", path), [&]() -> Result<> {
        if (auto made = files_.make_directory(directory); !made) return made;
        return files_.replace(path, text, kConfigMode);
      });
      if (!put) return put;
    }
    return take_inline(config);
  }

  Result<> take_inline(const Config& config) {
    if (!config.chain.entry) return {};
    auto text = without_entry(config.file.bytes);
    if (!text) return weir::pass(text.error(), path_of(config.name));
    const std::string path = path_of(config.name);
    if (!*text) return act(fmt::format("removed {}, which had only our entry", path), [&] { return removed(path); });
    const auto single = made_from(config.file.bytes);
    if (single && is_config(*single) && single->find('/') == std::string::npos &&
        !read_chain(**text).value_or(ChainFile{}).is_list)
      return act(fmt::format("made {} of {} again", path_of(*single), path), [&]() -> Result<> {
        if (auto put = files_.replace(path_of(*single), **text, config.file.mode); !put) return put;
        return removed(path);
      });
    return act(fmt::format("took the entry out of {}", path), [&] { return files_.replace(path, **text, config.file.mode); });
  }

  Result<> take_drop_in(std::string_view network) {
    const std::string path = drop_in_path(network);
    auto there = files_.read(path);
    if (!there && there.error().sys_errno() == ENOTDIR) return {};
    if (!there) return weir::pass(there.error());
    if (!*there || !is_our_entry((*there)->bytes)) return {};
    return act(fmt::format("removed {}", path), [&]() -> Result<> {
      if (auto done = removed(path); !done) return done;
      files_.remove_empty_directory(path_of(network));
      return {};
    });
  }

  const NodeFiles& files_;
  const Place& place_;
  const bool acts_;
  Pass pass_;
};

Result<Pass> run(Installer installer, std::string_view binary, std::string_view entry) {
  auto parsed = parse_json(entry);
  if (!parsed) return weir::pass(parsed.error(), "the plugin's configuration");
  if (auto tidied = installer.tidy(); !tidied) return weir::pass(tidied.error());
  if (auto put = installer.put_binary(binary); !put) return weir::pass(put.error());
  if (auto put = installer.put_entry(entry); !put) return weir::pass(put.error());
  return std::move(installer).result();
}

}  // namespace

Result<Pass> install(const NodeFiles& files, const Place& place, std::string_view binary, std::string_view entry) {
  return run(Installer(files, place, true), binary, entry);
}

Result<Pass> look(const NodeFiles& files, const Place& place, std::string_view binary, std::string_view entry) {
  return run(Installer(files, place, false), binary, entry);
}

Result<Pass> uninstall(const NodeFiles& files, const Place& place) {
  Installer installer(files, place, true);
  if (auto tidied = installer.tidy(); !tidied) return weir::pass(tidied.error());
  if (auto taken = installer.take_entries(); !taken) return weir::pass(taken.error());
  if (auto taken = installer.take_binary(); !taken) return weir::pass(taken.error());
  return std::move(installer).result();
}

}  // namespace weir::cni
