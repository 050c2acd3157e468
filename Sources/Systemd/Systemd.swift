// The module Systemd.
