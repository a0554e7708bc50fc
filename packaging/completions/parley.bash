# bash completion for parley and parleyd.  tests/house/test_packaging.py compares the options.
_parley_names() {       # COMMAND BEGINNING [#]: names, or rooms, from the daemon; quick, silent without one
    local word=${2#[\\\'\"]} before= sign= name
    [[ $2 == \\* ]] && before=\\
    [[ $word == *,* ]] && before+=${word%,*},
    [[ $word == \#* ]] || sign=$3
    while IFS= read -r name; do COMPREPLY+=("$before${name#"$sign"}"); done < <(
        "$1" "${asked[@]}" names --quick -- "$sign${word##*,}" </dev/null 2>/dev/null)
}
_parley() {
    local word before sub= place=0 at words asked=() line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"           # bash itself would cut unix:/path in three
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]}-1]} before=${words[${#words[@]}-2]}
    for ((at = 1; at < ${#words[@]} - 1; at++)); do
        case ${words[at]} in
            --connect | --name) asked+=("${words[at]}" "${words[++at]}") ;;
            --config | --notify | --notify-command | --open | --require | --wait | -W | --number | \
                -n | --format | --with | --grep | --since | --until | --before) ((++at)) ;;
            -*) ;;
            *) if [[ $sub ]]; then ((++place)); else sub=${words[at]}; fi ;;
        esac
    done
    case $before in
        --connect) COMPREPLY=($(compgen -W "own host unix: tls: 127.0.0.1:6464" -- "$word")); return ;;
        --config) COMPREPLY=($(compgen -W none -- "$word") $(compgen -f -- "$word")); return ;;
        --require) COMPREPLY=($(compgen -W "stored delivered" -- "$word")); return ;;
        --send | --with) _parley_names "$1" "$word"; return ;;
        --name | --grep | --since | --until | --before | --wait | -W | --number | -n | --format) return ;;
    esac
    case $sub$place$word in
        send0-* | check0* | recv0* | who0-* | log* | forget* | chat0-* | join0-* | names0-*) ;;
        send0* | chat0* | names0*) _parley_names "$1" "$word"; return ;;
        who0* | join0*) _parley_names "$1" "$word" \#; return ;;
        [a-z]*[0-9]*) return ;;
    esac
    case $sub in
        send) set -- --help --name --quiet --now --truncate --require --wait ;;
        check) set -- --help --name --quiet --count --peek --json --format ;;
        recv) set -- --help --name --number --wait --follow --json --format ;;
        who) set -- --help --name --json ;;
        chat | join) set -- --help --name --plain ;;
        names) set -- --help --name --quick ;;
        log) set -- --help --name --with --grep --since --until --json --mbox ;;
        forget) set -- --help --name --before ;;
        *) set -- --help --connect --name --take --plain --no-archive --notify --notify-command \
            --open --no-color --config --send --check --who --show-config --version send check \
            recv who chat join names log forget ;;
    esac
    COMPREPLY=($(compgen -W "$*" -- "$word"))
}
_parleyd() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local asks="--help --connect"
    case ${COMP_WORDS[1]}$COMP_CWORD in
        quota2) COMPREPLY=($(compgen -W "$asks --json name login" -- "$word")); return ;;
        ban2 | unban2) COMPREPLY=($(compgen -W "$asks name login host" -- "$word")); return ;;
    esac
    case ${COMP_WORDS[1]} in
        status) COMPREPLY=($(compgen -W "$asks --json --prometheus --watch" -- "$word")); return ;;
        names) COMPREPLY=($(compgen -W "$asks --json --waiting" -- "$word")); return ;;
        logins | bans | quota) COMPREPLY=($(compgen -W "$asks --json" -- "$word")); return ;;
        drain) COMPREPLY=($(compgen -W "$asks --wait --follow --undo" -- "$word")); return ;;
        retire) COMPREPLY=($(compgen -W "$asks --export --keep" -- "$word")); return ;;
        backup) COMPREPLY=($(compgen -W "$asks --state" -- "$word") $(compgen -d -- "$word"))
            return ;;
        check | top | kick | ban | unban | announce | reinstate)
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
        bans announce drain quota upgrade retire reinstate backup" -- "$word"))
}
complete -F _parley parley
complete -o filenames -F _parleyd parleyd
