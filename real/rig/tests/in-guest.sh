# Runs /rig/script in guest NUMBER, for `./lab xen run SCRIPT --in guestN`. What it prints is in the guest's log.
. /rig/environment
export RIG_GUEST_SECONDS
rig-guest $NUMBER "sh /rig/script"
