#compdef claude-gatewayctl
# claude-gatewayctl's words, for zsh. By: claude-gatewayctl completion zsh

# One line for each word: the words before it, the word itself (* is any), its argument, its description.
_claude_gatewayctl_table='
@TABLE@
'

_claude_gatewayctl() {
    local word=$words[CURRENT] before=$words[CURRENT-1]
    local where=. takes= one row
    local -i given=0 nth=0
    local -a verbs flags keys profiles cells rows
    rows=("${(@f)_claude_gatewayctl_table}")
    for one in "${(@)words[2,CURRENT-1]}"; do
        if [[ $where == . && -n ${(M)rows:#${(b)one}$'\t'*} ]]; then
            where=$one
        elif [[ -n ${(M)rows:#${(b)where}\ ${(b)one}$'\t'*} ]]; then
            where="$where $one"
        elif [[ $one != -* ]]; then
            given+=1
        fi
    done
    [[ $where == . && $given -gt 0 ]] && return 1
    for row in $rows; do
        cells=("${(@s:	:)row}")
        if [[ $cells[1] == "$where" ]]; then
            if [[ $cells[2] == '*' ]]; then
                ((nth++ == given)) && takes=$cells[3]
            elif [[ $cells[2] == -* ]]; then
                flags+=("$cells[2]:${cells[4]//:/\\:}")
                if [[ $cells[3] != '*' && $cells[2] == "$before" ]]; then
                    takes=$cells[3]
                    break
                fi
            else
                verbs+=("$cells[2]:${cells[4]//:/\\:}")
            fi
        fi
    done
    if [[ $word == -* ]]; then
        _describe -o 'option' flags
        return
    fi
    case $takes in
    '='*)
        for row in $rows; do
            cells=("${(@s:	:)row}")
            [[ $cells[1] == "$takes" ]] && keys+=("$cells[2]")
        done
        _describe 'value' keys
        ;;
    profiles)
        profiles=("${(@f)$(sed -n 's/^\[profile  *\(.*\)\]$/\1/p; s/^\[\(default\)\]$/\1/p' \
            "${AWS_CONFIG_FILE:-$HOME/.aws/config}" 2>/dev/null)}")
        compadd -a profiles
        ;;
    files) _files ;;
    -) _message 'a value' ;;
    *) if (($#verbs)); then _describe 'word' verbs; else _describe -o 'option' flags; fi ;;
    esac
}

if [[ $funcstack[1] == _claude-gatewayctl ]]; then
    _claude_gatewayctl "$@"
else
    compdef _claude_gatewayctl claude-gatewayctl
fi
