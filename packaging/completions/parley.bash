# bash completion for parley and parleyd.  tests/house/test_packaging.py compares the options.
_parley() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    case $before in
        --connect) COMPREPLY=($(compgen -W "own host unix: tls: 127.0.0.1:6464" -- "$word")); return ;;
        --config) COMPREPLY=($(compgen -W none -- "$word") $(compgen -f -- "$word")); return ;;
        --require) COMPREPLY=($(compgen -W "stored delivered" -- "$word")); return ;;
        --name | --send | --with | --grep | --since | --until | --before) return ;;
    esac
    case " ${COMP_WORDS[*]:1:COMP_CWORD-1} " in
        *" send "*) COMPREPLY=($(compgen -W "--help --name --quiet --now --truncate --require --wait" -- "$word"))
            return ;;
        *" check "*) COMPREPLY=($(compgen -W "--help --name --quiet --count --peek --json --format" -- "$word"))
            return ;;
        *" recv "*) COMPREPLY=($(compgen -W "--help --name --number --wait --follow --json --format" -- "$word"))
            return ;;
        *" who "*) COMPREPLY=($(compgen -W "--help --name --json" -- "$word")); return ;;
        *" chat "* | *" join "*) COMPREPLY=($(compgen -W "--help --name --plain" -- "$word")); return ;;
        *" log "*) COMPREPLY=($(compgen -W "--help --name --with --grep --since --until --json --mbox" -- "$word"))
            return ;;
        *" forget "*) COMPREPLY=($(compgen -W "--help --name --before" -- "$word")); return ;;
    esac
    COMPREPLY=($(compgen -W "--help --connect --name --take --plain --no-archive --notify --notify-command
        --open --no-color --config --send --check --who --show-config --version send check recv
        who chat join log forget" -- "$word"))
}
_parleyd() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local asks="--help --connect"
    case ${COMP_WORDS[1]}$COMP_CWORD in
        ban2 | unban2) COMPREPLY=($(compgen -W "$asks name login host" -- "$word")); return ;;
    esac
    case ${COMP_WORDS[1]} in
        status) COMPREPLY=($(compgen -W "$asks --json --prometheus --watch" -- "$word")); return ;;
        names) COMPREPLY=($(compgen -W "$asks --json --waiting" -- "$word")); return ;;
        logins | bans) COMPREPLY=($(compgen -W "$asks --json" -- "$word")); return ;;
        drain) COMPREPLY=($(compgen -W "$asks --wait --follow --undo" -- "$word")); return ;;
        retire) COMPREPLY=($(compgen -W "$asks --export --keep" -- "$word")); return ;;
        backup) COMPREPLY=($(compgen -W "$asks --state" -- "$word") $(compgen -d -- "$word"))
            return ;;
        check | kick | ban | unban | announce | reinstate)
            COMPREPLY=($(compgen -W "$asks" -- "$word")); return ;;
    esac
    case $before in
        --config) COMPREPLY=($(compgen -f -- "$word")); return ;;
        --state | --salvage) COMPREPLY=($(compgen -d -- "$word")); return ;;
        --tls-cert | --tls-key | --log) COMPREPLY=($(compgen -f -- "$word")); return ;;
        --console) COMPREPLY=($(compgen -W "auto table log none" -- "$word")); return ;;
        --log-format) COMPREPLY=($(compgen -W "text json" -- "$word")); return ;;
        --socket-mode) COMPREPLY=($(compgen -W "600 660 666" -- "$word")); return ;;
        --backend) COMPREPLY=($(compgen -W "dbm.sqlite3 dbm.gnu dbm.ndbm dbm.dumb" -- "$word")); return ;;
        --all) COMPREPLY=($(compgen -W "everyone operators nobody" -- "$word")); return ;;
    esac
    COMPREPLY=($(compgen -W "--help --config --check-config --show-config --listen --socket-mode --tls-cert --tls-key --trust-names --tcp-names
        --insecure --state --backend --console --log --log-format --no-text --name --patience --clients
        --clients-each --strangers --strangers-each --handshakes --handshakes-each
        --login-seconds --silence-seconds --mailbox-messages --mailbox-bytes --sender-messages
        --sender-bytes --login-bytes --rate --all --all-seconds --log-each --new-names --names
        --names-each --room-lines --check-store --salvage --version" -- "$word"))
    [[ $COMP_CWORD == 1 ]] && COMPREPLY+=($(compgen -W "status top names logins check kick ban unban
        bans announce drain retire reinstate backup" -- "$word"))
}
complete -F _parley parley
complete -o filenames -F _parleyd parleyd
