// One file of a backup, from its frames: is it what was backed up?
#include "verify/file_checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/lsn.h"
#include "cluster/control_file.h"
#include "cluster/page_check.h"

namespace backup_ext {
namespace {

// A backup that says itself that pages are damaged holds them as they were.
PageRules RulesOf(const BackupRecord& record) {
  return {.are_judged = record.data_checksums && record.state != "damaged",
          .start_lsn = record.start_lsn,
          .page_bytes = record.block_bytes,
          .segment_pages = record.segment_blocks};
}

// Files that a server reads before it can find out itself that they are wrong.
bool HasMeaning(const ManifestEntry& entry) {
  return entry.kind == EntryKind::kFile &&
         (entry.path == "global/pg_control" || entry.path == "PG_VERSION" ||
          entry.path == "backup_label");
}
constexpr size_t kMeaningLimitBytes = 64 * 1024;

// True for what is wrong with one object; anything else is wrong with the whole repository.
bool ConcernsOneObject(ErrorCode code) {
  return code == ErrorCode::kDamaged || code == ErrorCode::kIo || code == ErrorCode::kNotFound ||
         code == ErrorCode::kPermissionDenied || code == ErrorCode::kUnsupportedFormat;
}

std::string ControlFileProblem(ByteSpan content, const BackupRecord& record) {
  const auto control = ParseControlFile(content);
  if (!control) return "its checksum is wrong";
  if (control->system_identifier == record.system_identifier) return {};
  return fmt::format("it is of system identifier {}, not {}", control->system_identifier,
                     record.system_identifier);
}

std::string VersionProblem(ByteSpan content, const BackupRecord& record) {
  const std::string expected = fmt::format("{}\n", record.server_version_num / 10000);
  return AsText(content) == expected ? "" : "it does not name the version of the server";
}

std::string LabelProblem(ByteSpan content, const BackupRecord& record) {
  constexpr std::string_view kBegin = "START WAL LOCATION: ";
  const std::string_view text = AsText(content);
  if (!text.starts_with(kBegin)) return "it has no start of WAL";
  const uint64_t lsn = ParseLsn(text.substr(kBegin.size(), text.find(" (") - kBegin.size()));
  return lsn == record.start_lsn ? "" : "it does not begin where the backup does";
}

}  // namespace

// The problems of one file: the first one, and how many there are.
struct FileChecker::Findings {
  VerifyProblem first;
  uint64_t count = 0;

  void Add(std::optional<uint64_t> offset_bytes, std::string problem) {
    if (count++ == 0) {
      first.offset_bytes = offset_bytes;
      first.problem = std::move(problem);
    }
  }
};

FileChecker::FileChecker(Surroundings surroundings)
    : at_(std::move(surroundings)), frames_(*at_.repository, at_.open_packs) {}

void FileChecker::CheckContent(const ManifestEntry& entry, Findings* findings, const Piece& piece) {
  const uint64_t unit_bytes = entry.map.unit_bytes;
  PageCheck pages(entry.path, entry.map.unit_bytes, RulesOf(*at_.record));
  Xxh3Stream digest;
  uint64_t offset = 0;
  frames_.BeginFile(entry.map);
  for (const PageRun& run : entry.map.runs) {
    const FrameRef& frame = entry.map.frames[run.frame];
    const uint64_t count = run.units * unit_bytes;
    try {
      const ByteSpan plain = frames_.Read(frame, at_.packs->Get(frame.pack));
      const ByteSpan bytes = plain.subspan(run.first_unit * unit_bytes, count);
      if (const auto wrong = pages.Update(bytes)) {
        findings->Add(wrong->block * unit_bytes, wrong->problem);
      }
      if (unit_bytes == 1) digest.Update(bytes);
      piece(bytes, count);
    } catch (const Error& error) {
      if (!ConcernsOneObject(error.code())) throw;
      findings->Add(offset, error.message());
      pages.Skip(run.units);
      piece({}, count);
    }
    offset += count;
    at_.progress->bytes_done += count;
    if (at_.should_stop()) return;
  }
  if (unit_bytes == 1 && findings->count == 0 && digest.Finish() != entry.content) {
    findings->Add(std::nullopt, "its content is not what was backed up");
  }
}

void FileChecker::CheckMeaning(const ManifestEntry& entry, ByteSpan content, Findings* findings) {
  std::string problem;
  try {
    if (entry.path == "global/pg_control") {
      problem = ControlFileProblem(content, *at_.record);
    } else if (entry.path == "PG_VERSION") {
      problem = VersionProblem(content, *at_.record);
    } else {
      problem = LabelProblem(content, *at_.record);
    }
  } catch (const Error& error) {
    problem = error.message();
  }
  if (!problem.empty()) findings->Add(0, std::move(problem));
}

void FileChecker::Report(const ManifestEntry& entry, const Findings& findings) {
  at_.progress->files_done += 1;
  if (findings.count == 0) return;
  VerifyProblem problem = findings.first;
  problem.path = entry.path;
  if (findings.count > 1) {
    problem.problem += fmt::format(" (and {} more in this file)", findings.count - 1);
  }
  at_.problems->Add(std::move(problem));
}

void FileChecker::Check(const ManifestEntry& entry) {
  Findings findings;
  const bool has_meaning = HasMeaning(entry);
  Bytes content;
  try {
    CheckContent(entry, &findings, [&](ByteSpan bytes, uint64_t) {
      if (!has_meaning || content.size() > kMeaningLimitBytes) return;
      content.insert(content.end(), bytes.begin(), bytes.end());
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kDamaged) throw;
    findings.Add(std::nullopt, error.message());
  }
  if (at_.should_stop()) return;
  if (has_meaning && findings.count == 0) CheckMeaning(entry, content, &findings);
  Report(entry, findings);
}

void FileChecker::CheckWal(const ManifestEntry& entry, WalCheck* chain) {
  Findings findings;
  const auto segment = ParseWalSegmentName(BaseName(entry.path), at_.record->wal_segment_bytes);
  if (!segment) {
    findings.Add(std::nullopt, "its name is not that of a WAL segment");
    Report(entry, findings);
    return;
  }
  chain->BeginSegment(*segment);
  CheckContent(entry, &findings, [&](ByteSpan bytes, uint64_t count) {
    if (bytes.empty()) {
      chain->Skip(count);
    } else {
      chain->Update(bytes);
    }
  });
  const std::optional<WalProblem> problem = chain->EndSegment();
  if (problem && findings.count == 0) findings.Add(problem->offset_bytes, problem->problem);
  if (!at_.should_stop()) Report(entry, findings);
}

}  // namespace backup_ext
