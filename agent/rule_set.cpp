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
    if (text && old != files_.end() && old->second.origin && old->second.origin->text == *text) {
      files[name] = old->second;
      continue;
    }
    reparsed = true;
    auto file = text ? mesh::parse(name, *text) : mesh::unreadable(name, text.error());
    files[name] = File{text ? std::make_shared<const Origin>(Origin{name, *text}) : nullptr,
                       std::make_shared<const mesh::ParsedFile>(std::move(file))};
  }
  reparsed = reparsed || is_restored_ || files.size() != files_.size();
  is_restored_ = false;
  files_ = std::move(files);

  std::vector<Problem> problems;
  if (reparsed) {
    std::vector<std::shared_ptr<const mesh::ParsedFile>> parsed;
    for (const auto& [name, file] : files_) parsed.push_back(file.parsed);
    store_ = mesh::Store::build(store_.get(), parsed, problems);
    trace_origins();
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
    if (!has_errors(parsed.problems)) good_mesh_text_ = mesh_text_;
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

/// From which text each object in force was read: one of a file as it stands, or one of before.
void RuleSet::trace_origins() {
  std::map<const mesh::Meta*, OriginPtr> standing;
  for (const auto& [name, file] : files_)
    for (const mesh::Object& object : file.parsed->objects) standing.emplace(&mesh::meta(object), file.origin);
  std::map<mesh::ObjectKey, OriginPtr> origins;
  for (const auto& [key, object] : store_->objects()) {
    auto now = standing.find(&mesh::meta(object));
    auto before = origins_.find(key);
    if (now != standing.end())
      origins.emplace(key, now->second);
    else if (before != origins_.end())
      origins.emplace(key, before->second);
  }
  origins_ = std::move(origins);
}

LastGood RuleSet::last_good() const {
  LastGood good;
  std::map<const Origin*, std::size_t> places;
  for (const auto& [key, origin] : origins_) {
    auto [place, fresh] = places.emplace(origin.get(), good.sources.size());
    if (fresh) good.sources.push_back({origin->file, origin->text, {}});
    good.sources[place->second].objects.push_back(key);
  }
  if (!good_mesh_text_.empty()) good.mesh_config = good_mesh_text_;
  return good;
}

void RuleSet::restore(const LastGood& good, bool uses_mesh_config) {
  std::vector<std::shared_ptr<const mesh::ParsedFile>> parsed;
  for (const LastGood::Source& source : good.sources) {
    mesh::ParsedFile file = mesh::parse(source.file, source.text);
    const std::set<mesh::ObjectKey> wanted(source.objects.begin(), source.objects.end());
    std::erase_if(file.objects, [&](const mesh::Object& object) { return !wanted.contains(mesh::meta(object).key); });
    auto origin = std::make_shared<const Origin>(Origin{source.file, source.text});
    for (const mesh::Object& object : file.objects) origins_.emplace(mesh::meta(object).key, origin);
    file.broken.clear();
    file.damaged = false;
    parsed.push_back(std::make_shared<const mesh::ParsedFile>(std::move(file)));
  }
  std::vector<Problem> told_when_they_were_new;
  store_ = mesh::Store::build(nullptr, parsed, told_when_they_were_new);
  is_restored_ = true;
  if (!uses_mesh_config || !good.mesh_config) return;
  mesh::ParsedMeshConfig config = mesh::parse_mesh_config("", *good.mesh_config);
  if (has_errors(config.problems)) return;
  settings_.config = config.config;
  good_mesh_text_ = *good.mesh_config;
}

std::map<std::string, int> RuleSet::ignored() const {
  std::map<std::string, int> counts;
  for (const auto& [name, file] : files_)
    for (const auto& [kind, count] : file.parsed->ignored) counts[kind] += count;
  return counts;
}

}  // namespace weir::agent
