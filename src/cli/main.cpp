// The program `backup_ext`: what can be done with a repository when there is no server to ask.
#include "activate_command.h"
#include "completion_command.h"
#include "expire_command.h"
#include "export_command.h"
#include "list_command.h"
#include "man_page_command.h"
#include "program.h"
#include "restore_command.h"
#include "show_command.h"
#include "verify_command.h"

int main(int argc, char** argv) {
  backup_ext::Program program;
  backup_ext::AddListCommand(&program);
  backup_ext::AddShowCommand(&program);
  backup_ext::AddRestoreCommand(&program);
  backup_ext::AddActivateCommand(&program);
  backup_ext::AddUndoCommand(&program);
  backup_ext::AddVerifyCommand(&program);
  backup_ext::AddExportCommand(&program);
  backup_ext::AddExpireCommand(&program);
  backup_ext::AddCompletionCommand(&program);
  backup_ext::AddManPageCommand(&program);
  return program.Run(argc, argv);
}
