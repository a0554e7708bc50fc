# fish completion for parley and parleyd.  tests/house/test_packaging.py compares the options.
function __parley_names         # [#]: names, or rooms, from the daemon; quick, and silent without one
    set -l words (commandline -opc)
    set -l word (string trim -c "'\"\\" -- (commandline -ct))
    set -l before (string replace -r '[^,]*$' '' -- $word)
    set -l asked
    for at in (seq 2 (math (count $words) - 1))
        if contains -- $words[$at] --connect --name
            set -a asked $words[$at] $words[(math $at + 1)]
        end
    end
    set -l last (string replace -r '^.*,' '' -- $word)
    set -l sign
    if not string match -q '#*' -- $last
        set sign $argv
    end
    for name in ($words[1] $asked names --quick -- (string join '' -- $sign $last) </dev/null 2>/dev/null)
        echo $before(string replace -r "^$sign" '' -- $name)
    end
end
function __parley_at            # WORDS: whether the word behind one of these is being typed
    set -l words (string match -v -- '-*' (commandline -opc))
    contains -- "$words[-1]" $argv
end
complete -c parley -f
complete -c parley -s h -l help -d 'Print the options and exit'
complete -c parley -l connect -x -a 'own host unix: tls:' -d 'Where the daemon listens'
complete -c parley -l name -x -d 'The name to log in under'
complete -c parley -l plain -d 'Line in, line out'
complete -c parley -l take -d 'Move your session here'
complete -c parley -l no-archive -d 'Keep no copy of the messages'
complete -c parley -l notify -x -a 'bell osc9 osc777 off' -d 'Notices while you are elsewhere'
complete -c parley -l notify-command -x -d 'Also run this then'
complete -c parley -l open -x -d 'What /url N open runs'
complete -c parley -l no-color -d 'Use no colours'
complete -c parley -l config -r -F -a none -d 'Options from this file'
complete -c parley -l show-config -d 'Print all options, and where each came from'
complete -c parley -l send -x -a '(__parley_names)' -d 'Send one message and exit'
complete -c parley -l check -d 'Print the messages that wait, and exit'
complete -c parley -l who -d 'Print the users who are connected, and exit'
complete -c parley -s V -l version -d 'Print the version and exit'
complete -c parley -a 'log forget' -n __fish_use_subcommand -d 'The archive'
complete -c parley -n '__parley_at send chat names' -a '(__parley_names)'
complete -c parley -n '__parley_at who join' -a '(__parley_names "#")'
complete -c parley -a 'names' -n __fish_use_subcommand -d 'The names in the log'
complete -c parley -n '__fish_seen_subcommand_from names' -s q -l quick
complete -c parley -a 'chat join' -n __fish_use_subcommand -d 'Talk'
complete -c parley -a 'send check recv who' -n __fish_use_subcommand -d 'An errand to the daemon'
complete -c parley -n '__fish_seen_subcommand_from send check' -s q -l quiet
complete -c parley -n '__fish_seen_subcommand_from send' -l now -d 'Only to those who are connected'
complete -c parley -n '__fish_seen_subcommand_from send' -s t -l truncate
complete -c parley -n '__fish_seen_subcommand_from send' -l require -x -a 'stored delivered'
complete -c parley -n '__fish_seen_subcommand_from check' -s c -l count
complete -c parley -n '__fish_seen_subcommand_from check' -s p -l peek
complete -c parley -n '__fish_seen_subcommand_from recv' -s n -l number -x
complete -c parley -n '__fish_seen_subcommand_from send recv' -s W -l wait -x
complete -c parley -n '__fish_seen_subcommand_from recv' -s f -l follow
complete -c parley -n '__fish_seen_subcommand_from check recv who' -l json
complete -c parley -n '__fish_seen_subcommand_from check recv' -l format -x
complete -c parley -n '__fish_seen_subcommand_from log' -l with -x -a '(__parley_names)' -d 'Only this user'
complete -c parley -n '__fish_seen_subcommand_from log' -l grep -x -d 'Only texts with this'
complete -c parley -n '__fish_seen_subcommand_from log' -l since -x -d 'Only from then on'
complete -c parley -n '__fish_seen_subcommand_from log' -l until -x -d 'Only up to then'
complete -c parley -n '__fish_seen_subcommand_from log' -l json -d 'One document a line'
complete -c parley -n '__fish_seen_subcommand_from log' -l mbox -d 'A mailbox'
complete -c parley -n '__fish_seen_subcommand_from forget' -l before -x -d 'What is older goes'
complete -c parleyd -f
for flag in help check-config show-config trust-names insecure no-text check-store version
    complete -c parleyd -l $flag
end
for option in listen name patience clients clients-each strangers strangers-each handshakes \
        handshakes-each login-seconds silence-seconds mailbox-messages mailbox-bytes \
        sender-messages sender-bytes login-bytes rate all-seconds log-each new-names names \
        names-each tcp-names room-lines
    complete -c parleyd -l $option -x
end
for option in config state salvage tls-cert tls-key log
    complete -c parleyd -l $option -r -F
end
complete -c parleyd -n __fish_use_subcommand -d 'Ask the running daemon' \
    -a 'status top names logins check kick ban unban bans announce drain quota upgrade retire reinstate backup'
set -l asks status top names logins check kick ban unban bans announce drain quota upgrade retire reinstate backup
complete -c parleyd -n "__fish_seen_subcommand_from $asks" -l connect -x -a 'unix:'
complete -c parleyd -n '__fish_seen_subcommand_from status names logins bans quota' -l json
complete -c parleyd -n '__fish_seen_subcommand_from status' -l prometheus
complete -c parleyd -n '__fish_seen_subcommand_from status' -l watch -x
complete -c parleyd -n '__fish_seen_subcommand_from drain' -l wait -x
complete -c parleyd -n '__fish_seen_subcommand_from drain' -l undo
complete -c parleyd -n '__fish_seen_subcommand_from drain' -s f -l follow
complete -c parleyd -n '__fish_seen_subcommand_from names' -s w -l waiting
complete -c parleyd -n '__fish_seen_subcommand_from retire' -l export -r -F
complete -c parleyd -n '__fish_seen_subcommand_from retire' -l keep
complete -c parleyd -n '__fish_seen_subcommand_from ban unban' -a 'name login host'
complete -c parleyd -n '__fish_seen_subcommand_from quota' -a 'name login'
complete -c parleyd -l console -x -a 'auto table log none'
complete -c parleyd -l log-format -x -a 'text json'
complete -c parleyd -l socket-mode -x -a '600 660 666'
complete -c parleyd -l backend -x -a 'dbm.sqlite3 dbm.gnu dbm.ndbm dbm.dumb'
complete -c parleyd -l all -x -a 'everyone operators nobody'
