// The directory that a restore fills: every write goes below a held descriptor, and no link is ever
// followed on the way.
//
// Paths are those of the manifest, relative to the data directory; `pg_tblspc/<oid>/...` of a known
// tablespace goes to `<directory>.tablespaces/<oid>/...`.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace backup_ext {

// Our own folder in a stage: marker, guards, server log, socket.
inline constexpr std::string_view kStageFolder = "backup_ext_stage";

struct FileOwner {
  uid_t uid = 0;
  gid_t gid = 0;
};

class StageTree {
 public:
  // `directory` comes from CleanDirectoryPath(). Touches nothing.
  explicit StageTree(std::string directory);
  StageTree(const StageTree&) = delete;
  StageTree& operator=(const StageTree&) = delete;

  // Before Claim(): tablespaces that shall lie elsewhere than in `<directory>.tablespaces`, each in
  // a directory that is empty or missing.
  void PlaceTablespaces(std::map<uint32_t, std::string> places);
  // Before Claim(): directories of an earlier stage, which are taken as they are. In such a tree
  // OpenEarlierFile() finds what is there, and Abandon() leaves them.
  void TakeOver(std::vector<std::string> directories);
  [[nodiscard]] bool is_taken_over() const { return !earlier_.empty(); }
  // Before Claim(): media are restored too, into this directory, which is empty, missing or one
  // that was taken over.
  void PlaceMedia(std::string directory) { media_.path = std::move(directory); }
  // Makes both directories (mode 0700) or takes them when they are empty. The folder
  // `backup_ext_stage` is made at once: of two restores into one directory the second fails here,
  // with Error(kAlreadyExists), and so does any other while the folder is locked (flock(2), by this
  // object until its end). `owner`: who everything shall belong to; only root can give away.
  void Claim(const std::set<uint32_t>& tablespaces, std::optional<FileOwner> owner);
  // More tablespaces, once the WAL has told of them; those that are known are passed over. True
  // when the first of them made or took `<directory>.tablespaces`. As Claim() otherwise.
  [[nodiscard]] bool AddTablespaces(const std::set<uint32_t>& oids);
  // Removes what was made since Claim(); a directory that was there before is left, empty and with
  // the mode that it had. Never touches a directory that it did not claim. Does not throw.
  void Abandon() noexcept;

  // Any thread may call these four. A missing parent is made, mode 0700.
  // Throws Error(kDamaged) when there is something of that name already: paths are unique.
  [[nodiscard]] FileDescriptor CreateFile(const std::string& path) const;
  // The file of an earlier stage, to read and write; nothing when there is none. What cannot be
  // written over (a link, a file with several names or that we must not open) is removed.
  [[nodiscard]] std::optional<FileDescriptor> OpenEarlierFile(const std::string& path) const;
  // Permission bits, without setuid, setgid, sticky and anything for others; the owner.
  void SealFile(int fd, uint32_t mode, const std::string& path) const;
  // One that is there already is fine: its mode is set.
  void MakeDirectory(const std::string& path, uint32_t mode) const;

  // Creates, writes and seals one small file.
  void WriteSmallFile(const std::string& path, std::string_view content, uint32_t mode) const;

  // pg_tblspc/<oid> -> TablespacePath(). After the last CreateFile().
  void LinkTablespaces() const;
  // Takes away the folders `backup_ext_stage`: what is left is a data directory and no more.
  void RemoveStageFolders() const;
  // The mode and the owner of the top directories, durably and last: until then only we can look
  // inside.
  void OpenToOwner(uint32_t mode) const;

  // `backup_ext_stage/stage.json`, durably, in every directory that was claimed: in the stage, in
  // `<directory>.tablespaces` and in each tablespace that was placed elsewhere. An older one is
  // replaced in one step.
  void WriteMarkers(std::string_view content) const;

  // "" is the data directory itself.
  [[nodiscard]] FileDescriptor OpenDirectory(const std::string& path) const;

  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] std::string tablespaces_directory() const;
  // `<directory>.tablespaces/<oid>`, or where it was placed.
  [[nodiscard]] std::string TablespacePath(uint32_t oid) const;
  // The directory of the media, after Claim(); empty where there are none. What lies in it is not
  // written through this class.
  [[nodiscard]] const std::string& media_directory() const { return media_.path; }
  [[nodiscard]] int media_fd() const { return media_.fd.get(); }
  // Every directory that was claimed, but that of media: all that was written lies in one of them.
  [[nodiscard]] std::vector<std::string> ClaimedDirectories() const;
  [[nodiscard]] const std::map<uint32_t, FileDescriptor>& tablespaces() const {
    return tablespaces_;
  }
  // For messages.
  [[nodiscard]] std::string FullPath(const std::string& path) const;

 private:
  // One top directory.
  struct Top {
    std::string path;
    FileDescriptor fd;
    FileDescriptor folder;  // `backup_ext_stage`, locked
    bool made = false;      // by us
    bool claimed = false;   // empty, and ours since
    uint32_t old_mode = 0;  // when it was there before
  };
  [[nodiscard]] std::vector<Top*> Tops();
  [[nodiscard]] std::vector<const Top*> Tops() const;
  void TakeTop(Top* top) const;
  void LockFolder(Top* top) const;
  [[nodiscard]] bool IsEarlier(const std::string& path) const;
  void WriteMarkerIn(const Top& top, std::string_view content) const;
  void MakeTablespace(uint32_t oid);
  void AbandonTop(Top* top) const;
  void GiveAway(int fd, const std::string& path) const;
  // The descriptor to start from, and the rest of the path.
  [[nodiscard]] int Root(const std::string& path, std::string_view* rest) const;
  [[nodiscard]] FileDescriptor OpenParent(const std::string& path, std::string* name) const;

  std::string directory_;
  Top main_;
  Top tablespaces_top_;
  std::vector<std::string> earlier_;
  Top media_;  // without a path: none
  std::map<uint32_t, std::string> places_;
  std::map<uint32_t, Top> placed_;
  std::map<uint32_t, FileDescriptor> tablespaces_;
  std::optional<FileOwner> owner_;
};

// The oid of `pg_tblspc/<oid>`, or of a path below it; nothing for any other path.
[[nodiscard]] std::optional<uint32_t> TablespaceOfPath(std::string_view path);

}  // namespace backup_ext
