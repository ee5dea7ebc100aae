// A stage takes the place of a data directory, and the way back.
#include "restore/activation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/error.h"
#include "base/file.h"
#include "restore/activated_tree.h"
#include "restore/first_start.h"
#include "restore/running_server.h"

namespace backup_ext {
namespace {

using StepDone = std::function<void(std::string_view)>;

constexpr std::string_view kPutInPlace = "put the origin's postgresql.auto.conf in place";

void Tell(const StepDone& step_done, std::string_view step) {
  if (step_done) step_done(step);
}

// Of the directory above, which is there whatever becomes of the data directory. It ends with the
// process.
FileDescriptor LockAgainstOthers(const std::string& data_directory) {
  const std::string parent = ParentDirectory(data_directory);
  FileDescriptor fd = OpenFile(parent, O_RDONLY | O_DIRECTORY);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) throw SystemError(fmt::format("lock \"{}\"", parent), errno);
  throw Error(ErrorCode::kLocked,
              fmt::format("another activation is at work in directory \"{}\"", parent), "",
              "Wait until it is done.");
}

void Rename(const std::string& from, const std::string& to) {
  RenameDurably(from, to);
  SyncDirectory(ParentDirectory(from));
}

// The switch: the tree with inode `wanted` gets the name of the data directory, the other one that
// of the stage. In one step where the file system can; else by a third name, beside.
void PutInPlace(const ActivationJournal& journal, uint64_t wanted) {
  const std::string& data = journal.data_directory;
  const std::string& stage = journal.stage_directory;
  const std::string parked = data + ".backup_ext_parked";
  if (InodeOf(data) != wanted) {
    const std::string& source = InodeOf(parked) == wanted ? parked : stage;
    if (InodeOf(source) != wanted) {
      throw Error(ErrorCode::kDamaged,
                  fmt::format("could not find the directory that is to become \"{}\"", data),
                  fmt::format("Neither \"{}\" nor \"{}\" is the one that the journal \"{}\" names.",
                              stage, parked, ActivationJournalPath(data)),
                  "Put the right directory in place by hand, and remove the journal.");
    }
    if (InodeOf(data) != 0 && journal.old_inode != 0) {
      if (source == stage && ExchangePaths(stage, data)) return;
      Rename(data, parked);
    }
    Rename(source, data);
  }
  if (InodeOf(parked) != 0 && InodeOf(stage) == 0) Rename(parked, stage);
}

bool HasSwitched(const ActivationJournal& journal) {
  return InodeOf(journal.data_directory) == journal.new_inode;
}

void FinishActivation(ActivationJournal journal, const StepDone& step_done) {
  PutInPlace(journal, journal.new_inode);
  Tell(step_done, "exchange");
  if (journal.old_inode != 0) MarkReplaced(journal, journal.stage_directory);
  Tell(step_done, "mark");
  journal.state = ActivationState::kActivated;
  WriteActivationJournal(journal);
  Tell(step_done, "end");
}

// Everything back in the stage, wherever the activation stopped.
void RollBack(const ActivationJournal& journal) {
  const std::string attempt = fmt::format("roll back the activation of stage {}", journal.stage_id);
  CheckNotRunning(journal.stage_directory, attempt);
  if (HasSwitched(journal)) {
    CheckNotRunning(journal.data_directory, attempt);
    // It may say already that the activation is done.
    WriteActivationJournal(journal);
    if (journal.old_inode == 0) {
      Rename(journal.data_directory, journal.stage_directory);
    } else {
      UnmarkReplaced(journal.stage_directory);
    }
  }
  if (journal.old_inode != 0) PutInPlace(journal, journal.old_inode);
  GiveMarkerBack(journal.stage_directory, AfterUse::kNeverServed);
  GiveGuardsBack(journal.stage_directory, AfterUse::kNeverServed);
  MoveTablespacesBack(journal, journal.stage_directory);
  RemoveActivationJournal(journal.data_directory);
}

void FinishUndo(const ActivationJournal& journal, const StepDone& step_done) {
  const std::string attempt = fmt::format("undo the activation of stage {}", journal.stage_id);
  const std::string& stage = journal.stage_directory;
  if (HasSwitched(journal)) {
    CheckNotRunning(journal.data_directory, attempt);
    CheckNotRunning(stage, attempt);
    if (journal.old_inode != 0) UnmarkReplaced(stage);
    Tell(step_done, "unmark");
  }
  if (journal.old_inode != 0) {
    PutInPlace(journal, journal.old_inode);
  } else if (HasSwitched(journal)) {
    Rename(journal.data_directory, stage);
  }
  Tell(step_done, "exchange");
  CheckNotRunning(stage, attempt);
  GiveMarkerBack(stage, AfterUse::kServed);
  Tell(step_done, "marker");
  GiveGuardsBack(stage, AfterUse::kServed);
  Tell(step_done, "configuration");
  MoveTablespacesBack(journal, stage);
  Tell(step_done, "tablespaces");
  RemoveActivationJournal(journal.data_directory);
  Tell(step_done, "end");
}

// What an earlier call left in the middle. The journal as it is then; nothing when it was rolled
// back or undone.
std::optional<ActivationJournal> Resume(const std::string& data_directory, std::string* notice) {
  const auto journal = ReadActivationJournal(data_directory);
  if (!journal || journal->state == ActivationState::kActivated) return journal;
  if (journal->state == ActivationState::kUndoing) {
    FinishUndo(*journal, {});
    *notice =
        fmt::format("The undo of stage {} that was interrupted is finished.", journal->stage_id);
    return std::nullopt;
  }
  if (!HasSwitched(*journal)) {
    RollBack(*journal);
    *notice = fmt::format("The activation of stage {} that was interrupted was rolled back.",
                          journal->stage_id);
    return std::nullopt;
  }
  FinishActivation(*journal, {});
  *notice = fmt::format("The activation of stage {} that was interrupted is finished.",
                        journal->stage_id);
  return ReadActivationJournal(data_directory);
}

// Of an activated stage whose server ended before it came to it.
std::string EndFirstStart(const std::string& data_directory) {
  if (!IsFirstStartUnfinished(data_directory)) return {};
  CheckNotRunning(data_directory, kPutInPlace);
  if (RepeatFirstRecovery(data_directory)) {
    return fmt::format(
        "The first start in \"{}\" was interrupted before the end of its recovery: the next start "
        "does it again.",
        data_directory);
  }
  if (!FinishFirstStart(data_directory)) return {};
  return fmt::format(
      "The first start in \"{}\" was interrupted at its end: the origin's postgresql.auto.conf "
      "is in place now.",
      data_directory);
}

// What EndFirstStart() would do. No server may run there.
std::optional<std::string> FirstStartNotice(const std::string& data_directory) {
  const char* when = nullptr;
  const char* what = nullptr;
  switch (RemedyOfFirstStart(data_directory)) {
    case FirstStartRemedy::kNone:
      return std::nullopt;
    case FirstStartRemedy::kRepeatRecovery:
      when = "before the end of its recovery";
      what = "made ready to be done again";
      break;
    case FirstStartRemedy::kFinish:
      when = "at its end";
      what = "finished";
      break;
  }
  return fmt::format("The first start in \"{}\" was interrupted {}; it will be {} first.",
                     data_directory, when, what);
}

std::string InterruptedNotice(const ActivationJournal& journal) {
  return fmt::format(
      "The {} of stage {} was interrupted; it will be {} first.",
      journal.state == ActivationState::kUndoing ? "undo" : "activation", journal.stage_id,
      journal.state == ActivationState::kUndoing || HasSwitched(journal) ? "finished"
                                                                         : "rolled back");
}

ActivationReport ReportOf(const ActivationJournal& journal, std::vector<std::string> notices) {
  return {journal.stage_id, journal.data_directory,
          journal.old_inode == 0 ? std::string() : journal.stage_directory, std::move(notices)};
}

Error NotRolledBack(const Error& error, const Error& second) {
  std::string detail = error.detail();
  if (!detail.empty()) detail += ' ';
  detail += fmt::format("It could not be rolled back either: {}.", second.message());
  return Error(error.code(), error.message(), std::move(detail),
               "Mend the cause; then \"backup_ext undo\" puts back what was, and \"backup_ext "
               "activate\" tries again.");
}

void Run(const ActivationJournal& journal, const StepDone& step_done) {
  try {
    WriteActivationJournal(journal);
    Tell(step_done, "journal");
    MoveTablespacesOut(journal, journal.stage_directory);
    Tell(step_done, "tablespaces");
    TakeGuardsAway(journal.stage_directory, journal.configuration);
    Tell(step_done, "configuration");
    TakeMarkerAway(journal.stage_directory);
    Tell(step_done, "marker");
    FinishActivation(journal, step_done);
  } catch (const Error& error) {
    try {
      RollBack(journal);
    } catch (const Error& second) {
      throw NotRolledBack(error, second);
    }
    throw;
  }
}

}  // namespace

ActivationReport CheckActivation(const ActivationRequest& request) {
  const std::string data = CleanActivationPath(request.data_directory);
  const std::string stage = CleanActivationPath(request.stage_directory);
  const auto journal = ReadActivationJournal(data);
  if (journal && journal->state != ActivationState::kActivated) {
    return ReportOf(*journal, {InterruptedNotice(*journal)});
  }
  ActivationPlan plan = PlanActivation(stage, data, request.other_cluster);
  if (auto notice = FirstStartNotice(data)) {
    plan.notices.insert(plan.notices.begin(), std::move(*notice));
  }
  return ReportOf(plan.journal, std::move(plan.notices));
}

ActivationReport Activate(const ActivationRequest& request) {
  const std::string data = CleanActivationPath(request.data_directory);
  const std::string stage = CleanActivationPath(request.stage_directory);
  // Says so when there is nothing to lock.
  if (!StatFile(ParentDirectory(data))) (void)PlanActivation(stage, data, request.other_cluster);
  const FileDescriptor lock = LockAgainstOthers(data);
  std::string notice;
  const auto earlier = Resume(data, &notice);
  if (!notice.empty() && earlier && earlier->stage_directory == stage) {
    return ReportOf(*earlier, {std::move(notice)});
  }
  ActivationPlan plan = PlanActivation(stage, data, request.other_cluster);
  if (notice.empty()) notice = EndFirstStart(data);
  if (!notice.empty()) plan.notices.insert(plan.notices.begin(), std::move(notice));
  Run(plan.journal, request.step_done);
  return ReportOf(plan.journal, std::move(plan.notices));
}

ActivationReport CheckUndoActivation(const std::string& data_directory) {
  const std::string data = CleanActivationPath(data_directory);
  const auto journal = ReadActivationJournal(data);
  if (!journal) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("there is nothing to undo for data directory \"{}\"", data),
                fmt::format("There is no journal \"{}\".", ActivationJournalPath(data)),
                "An activation can be undone as long as its journal is there.");
  }
  std::vector<std::string> notices;
  if (journal->state == ActivationState::kActivated) {
    CheckUndo(*journal);
    if (auto notice = FirstStartNotice(data)) notices.push_back(std::move(*notice));
  } else {
    notices.push_back(InterruptedNotice(*journal));
  }
  return {journal->stage_id, data, journal->stage_directory, std::move(notices)};
}

ActivationReport UndoActivation(const std::string& data_directory, const StepDone& step_done) {
  const std::string data = CleanActivationPath(data_directory);
  const FileDescriptor lock = LockAgainstOthers(data);
  ActivationReport report = CheckUndoActivation(data);
  report.notices.clear();
  std::string notice;
  auto journal = Resume(data, &notice);
  if (!notice.empty()) report.notices.push_back(std::move(notice));
  if (!journal) return report;
  CheckUndo(*journal);
  if (notice = EndFirstStart(data); !notice.empty()) report.notices.push_back(std::move(notice));
  journal->state = ActivationState::kUndoing;
  WriteActivationJournal(*journal);
  Tell(step_done, "journal");
  FinishUndo(*journal, step_done);
  return report;
}

std::optional<std::string> CheckInterrupted(const std::string& data_directory) {
  const std::string data = CleanActivationPath(data_directory);
  const auto journal = ReadActivationJournal(data);
  if (journal && journal->state != ActivationState::kActivated) return InterruptedNotice(*journal);
  if (!IsFirstStartUnfinished(data)) return std::nullopt;
  CheckNotRunning(data, kPutInPlace);
  return FirstStartNotice(data);
}

std::optional<std::string> FinishInterrupted(const std::string& data_directory) {
  const std::string data = CleanActivationPath(data_directory);
  const auto journal = ReadActivationJournal(data);
  const bool is_whole = !journal || journal->state == ActivationState::kActivated;
  if (is_whole && !IsFirstStartUnfinished(data)) return std::nullopt;
  const FileDescriptor lock = LockAgainstOthers(data);
  std::string notice;
  (void)Resume(data, &notice);
  if (notice.empty()) notice = EndFirstStart(data);
  if (notice.empty()) return std::nullopt;
  return notice;
}

ActivationReport CheckForNextStart(const ActivationRequest& request) {
  const ActivationPlan plan = PlanActivation(CleanActivationPath(request.stage_directory),
                                             CleanActivationPath(request.data_directory),
                                             request.other_cluster, RunningServer::kAllow);
  return ReportOf(plan.journal, plan.notices);
}

ActivationReport MarkForNextStart(const ActivationRequest& request) {
  ActivationReport report = CheckForNextStart(request);
  WriteNextStageMark(report.data_directory, {CleanActivationPath(request.stage_directory),
                                             request.other_cluster == OtherCluster::kReplace});
  return report;
}

}  // namespace backup_ext
