// SPDX-License-Identifier: Apache-2.0
#include "agent/rule_set.h"

#include <algorithm>

namespace weir::agent {

namespace {

/// Texts of problems, so that "the same problem" means the same line for a person.
std::set<std::string> texts_of(const std::vector<Problem>& problems) {
  std::set<std::string> texts;
  for (const Problem& problem : problems) texts.insert(to_text(problem));
  return texts;
}

std::vector<Problem> without(const std::vector<Problem>& problems, const std::set<std::string>& known) {
  std::vector<Problem> left;
  std::copy_if(problems.begin(), problems.end(), std::back_inserter(left),
               [&](const Problem& problem) { return !known.contains(to_text(problem)); });
  return left;
}

bool equal(const mesh::MeshConfig& a, const mesh::MeshConfig& b) {
  return a.outbound == b.outbound && a.log_encoding == b.log_encoding && a.access_log_file == b.access_log_file &&
         a.access_log_format == b.access_log_format && a.connect_timeout == b.connect_timeout;
}

}  // namespace

RuleSet::RuleSet(std::string domain) {
  settings_.domain = std::move(domain);
  std::vector<Problem> none;
  store_ = mesh::Store::build(nullptr, {}, none);
}

RuleSet::Change RuleSet::update(const RuleTexts& texts, const std::string& mesh_file,
                                const std::optional<Result<std::string>>& mesh_text) {
  Change change;
  bool reparsed = false;
  std::map<std::string, File> files;
  for (const auto& [name, text] : texts) {
    auto old = files_.find(name);
    if (text && old != files_.end() && old->second.text == *text) {
      files[name] = old->second;
      continue;
    }
    reparsed = true;
    auto file = text ? mesh::parse(name, *text) : mesh::unreadable(name, text.error());
    files[name] = File{text ? std::optional(*text) : std::nullopt, std::make_shared<const mesh::ParsedFile>(std::move(file))};
  }
  reparsed = reparsed || files.size() != files_.size();
  files_ = std::move(files);

  std::vector<Problem> problems;
  if (reparsed) {
    std::vector<std::shared_ptr<const mesh::ParsedFile>> parsed;
    for (const auto& [name, file] : files_) parsed.push_back(file.parsed);
    store_ = mesh::Store::build(store_.get(), parsed, problems);
    std::vector<Problem> between = mesh::validate(*store_, settings_.domain);
    problems.insert(problems.end(), between.begin(), between.end());
    change.effective = true;
  } else {
    std::copy_if(problems_.begin(), problems_.end(), std::back_inserter(problems),
                 [&](const Problem& problem) { return mesh_file.empty() || problem.where.file != mesh_file; });
  }

  if (mesh_text && !*mesh_text) {
    mesh_text_.clear();
    mesh_problems_ = {
        Problem{.where = {mesh_file, 0}, .message = mesh_text->error().to_text(), .hint = "the last good form stays"}};
  } else if (mesh_text && (**mesh_text != mesh_text_ || !mesh_problems_.empty())) {
    mesh_text_ = **mesh_text;
    mesh::ParsedMeshConfig parsed = mesh::parse_mesh_config(mesh_file, mesh_text_);
    mesh_problems_ = parsed.problems;
    if (!has_errors(parsed.problems) && !equal(parsed.config, settings_.config)) {
      settings_.config = parsed.config;
      change.effective = true;
    }
  }
  problems.insert(problems.end(), mesh_problems_.begin(), mesh_problems_.end());
  mesh::sort_problems(problems);

  change.appeared = without(problems, texts_of(problems_));
  change.gone = without(problems_, texts_of(problems));
  problems_ = std::move(problems);
  return change;
}

std::map<std::string, int> RuleSet::ignored() const {
  std::map<std::string, int> counts;
  for (const auto& [name, file] : files_)
    for (const auto& [kind, count] : file.parsed->ignored) counts[kind] += count;
  return counts;
}

}  // namespace weir::agent
