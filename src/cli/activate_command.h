// `backup_ext activate` and `backup_ext undo`: a stage becomes the server, and the way back.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace backup_ext {

class ActivationCommands {
 public:
  // Adds both subcommands to `app`, which must outlive this object.
  explicit ActivationCommands(CLI::App* app);
  ActivationCommands(const ActivationCommands&) = delete;
  ActivationCommands& operator=(const ActivationCommands&) = delete;

  [[nodiscard]] bool parsed() const { return activate_->parsed() || undo_->parsed(); }
  // The one that was parsed. Neither needs a repository.
  void Run() const;

 private:
  void RunActivate() const;
  void RunMarked() const;
  void RunUndo() const;
  void Mark() const;
  [[nodiscard]] std::string StagePath() const;

  CLI::App* activate_;
  CLI::App* undo_;
  std::string stage_;
  std::string data_directory_;
  std::string staging_directory_;
  bool dry_run_ = false;
  bool if_marked_ = false;
  bool at_next_start_ = false;
  bool unmark_ = false;
  bool replace_other_cluster_ = false;
};

}  // namespace backup_ext
