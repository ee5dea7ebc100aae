-- Every setting is checked when it is set, and a wrong value says which part is wrong.
SELECT name, setting, unit, vartype, context FROM pg_settings
 WHERE name LIKE 'backup\_ext.%' ORDER BY name COLLATE "C";

ALTER SYSTEM SET backup_ext.repository = 'relative/path';
ALTER SYSTEM SET backup_ext.repository = '/no/such/parent/repository';
ALTER SYSTEM SET backup_ext.repository = 's3://bucket/prefix';
SELECT current_setting('data_directory') AS data_directory \gset
\set inside :data_directory '/backups'
\set VERBOSITY terse
ALTER SYSTEM SET backup_ext.repository = :'inside';
ALTER SYSTEM SET backup_ext.staging_directory = :'inside';
\set VERBOSITY default
ALTER SYSTEM SET backup_ext.staging_directory = 'relative';
ALTER SYSTEM SET backup_ext."window" = '25:00-05:00';
ALTER SYSTEM SET backup_ext."window" = '02:00';
ALTER SYSTEM SET backup_ext."window" = '02:00-02:00';
ALTER SYSTEM SET backup_ext."window" = 'Mon-Fry 02:00-05:00';
ALTER SYSTEM SET backup_ext."window" = 'Mon-Fri 02:00-05:00, Sat,Sun';
ALTER SYSTEM SET backup_ext."window" = 'Mon-Fri 02:00-05:00, Sat,Sun 00:00-8:00';
ALTER SYSTEM SET backup_ext.timezone = 'Europe/Berlyn';
ALTER SYSTEM SET backup_ext.window_end = 'stop';
ALTER SYSTEM SET backup_ext.run_on = 'secondary';
ALTER SYSTEM SET backup_ext.catch_up = 'perhaps';
ALTER SYSTEM SET backup_ext.compression_level = 0;
ALTER SYSTEM SET backup_ext.compression_level = 20;
ALTER SYSTEM SET backup_ext.workers = -1;
ALTER SYSTEM SET backup_ext.workers = 65;
ALTER SYSTEM SET backup_ext.max_rate = '-1MB';
ALTER SYSTEM SET backup_ext.max_rate = '1 furlong';
ALTER SYSTEM SET backup_ext.retention = '0';
ALTER SYSTEM SET backup_ext.retention = '-3 days';
ALTER SYSTEM SET backup_ext.retention = '3 dyas';
ALTER SYSTEM SET backup_ext.retention = '1 month';
ALTER SYSTEM SET backup_ext.retention = '3';
ALTER SYSTEM SET backup_ext.retention = '';
ALTER SYSTEM SET backup_ext.retention = '101 years';
ALTER SYSTEM SET backup_ext.retention = '36526 days';
ALTER SYSTEM SET backup_ext.retention_keep = 0;
ALTER SYSTEM SET backup_ext.full_interval = '-1 day';
ALTER SYSTEM SET backup_ext.full_interval = 'never';
ALTER SYSTEM SET backup_ext.verify_interval = '7 dyas';
ALTER SYSTEM SET backup_ext.media_directories = 'uploads';
ALTER SYSTEM SET backup_ext.media_directories = '/';
ALTER SYSTEM SET backup_ext.media_directories = '/srv/a', '/srv/a';
ALTER SYSTEM SET backup_ext.media_directories = '/no/such/directory';
ALTER SYSTEM SET backup_ext.media_on_schedule = 'sometimes';
ALTER SYSTEM SET backup_ext.enabled = 'perhaps';
ALTER SYSTEM SET backup_ext.no_such_setting = 1;
SET backup_ext.workers = 2;

ALTER SYSTEM SET backup_ext."window" = 'Mon-Fri 22:30-04:00, Sat,Sun 00:00-08:00';
ALTER SYSTEM SET backup_ext.timezone = 'Europe/Berlin';
ALTER SYSTEM SET backup_ext.window_end = 'throttle';
ALTER SYSTEM SET backup_ext.run_on = 'any';
ALTER SYSTEM SET backup_ext.max_rate = '100MB';
ALTER SYSTEM SET backup_ext.enabled = off;
ALTER SYSTEM SET backup_ext.retention = '12 hours';
ALTER SYSTEM SET backup_ext.retention_keep = 7;
ALTER SYSTEM SET backup_ext.full_interval = 0;
SELECT name, setting, applied, error FROM pg_file_settings
 WHERE name IN ('backup_ext.window', 'backup_ext.max_rate', 'backup_ext.retention',
                'backup_ext.full_interval', 'backup_ext.timezone', 'backup_ext.window_end',
                'backup_ext.run_on') ORDER BY name COLLATE "C";
ALTER SYSTEM SET backup_ext.event_command = 'cat > /dev/null';
ALTER SYSTEM RESET backup_ext.event_command;
ALTER SYSTEM RESET backup_ext."window";
ALTER SYSTEM RESET backup_ext.timezone;
ALTER SYSTEM RESET backup_ext.window_end;
ALTER SYSTEM RESET backup_ext.run_on;
ALTER SYSTEM RESET backup_ext.max_rate;
ALTER SYSTEM RESET backup_ext.enabled;
ALTER SYSTEM RESET backup_ext.retention;
ALTER SYSTEM RESET backup_ext.retention_keep;
ALTER SYSTEM RESET backup_ext.full_interval;
