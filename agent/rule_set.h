// SPDX-License-Identifier: Apache-2.0
// Texts → the set of rules in force and the problems of the moment. Pure: the caller reads the files.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/last_good.h"
#include "agent/rule_source.h"
#include "agent/translate.h"
#include "base/problem.h"
#include "mesh-rules/store.h"

namespace weir::agent {

/// Keeps what was parsed, so that only changed files are parsed again, and the last good form of each object.
class RuleSet {
 public:
  explicit RuleSet(std::string domain);

  struct Change {
    bool effective = false;         ///< the store or the settings differ from before
    std::vector<Problem> appeared;  ///< problems that were not there before
    std::vector<Problem> gone;      ///< problems that are not there any more
  };
  /// Before the first update: what was in force when an agent before this one ran. Objects that the directory does not name any
  /// more go with that update, broken ones keep this form. `uses_mesh_config`: the mesh configuration counts too.
  void restore(const LastGood& good, bool uses_mesh_config);
  /// What restore() wants.
  LastGood last_good() const;

  /// Takes the directory as it stands now, and the text of the mesh configuration (nullopt: none is used).
  Change update(const RuleTexts& texts, const std::string& mesh_file, const std::optional<Result<std::string>>& mesh_text);

  const std::shared_ptr<const mesh::Store>& store() const { return store_; }
  const MeshSettings& settings() const { return settings_; }
  /// All of the moment, sorted by file and line.
  const std::vector<Problem>& problems() const { return problems_; }
  /// Kinds that do not concern the mesh, with how often.
  std::map<std::string, int> ignored() const;

 private:
  /// A text of a file, kept as long as an object in force was read from it.
  struct Origin {
    std::string file, text;
  };
  using OriginPtr = std::shared_ptr<const Origin>;
  struct File {
    OriginPtr origin;  // none: it could not be read
    std::shared_ptr<const mesh::ParsedFile> parsed;
  };
  void trace_origins();

  std::map<std::string, File> files_;
  std::map<mesh::ObjectKey, OriginPtr> origins_;  // of the objects in force
  bool is_restored_ = false;                      // nothing was read yet
  std::shared_ptr<const mesh::Store> store_;
  MeshSettings settings_;
  std::string mesh_text_, good_mesh_text_;
  std::vector<Problem> mesh_problems_;
  std::vector<Problem> problems_;
};

}  // namespace weir::agent
