# claude-gatewayctl's words, for bash from 3.2 on. By: claude-gatewayctl completion bash

# One line for each word: the words before it, the word itself (* is any), its argument, its description.
_claude_gatewayctl_table='
@TABLE@
'

_claude_gatewayctl() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local path=. takes= one place text kind summary candidate
    local -i at given=0 nth=0
    local -a words=() options=() values=()
    COMPREPLY=()
    if [[ $word == "=" ]]; then # "=" is a word of its own here
        word=
    elif [[ $before == "=" ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((at = 1; at < COMP_CWORD; at++)); do
        one=${COMP_WORDS[at]}
        if [[ $path == . && $_claude_gatewayctl_table == *$'\n'"$one"$'\t'* ]]; then
            path=$one
        elif [[ $_claude_gatewayctl_table == *$'\n'"$path $one"$'\t'* ]]; then
            path="$path $one"
        elif [[ $one != -* ]]; then
            given+=1
        fi
    done
    [[ $path == . && $given -gt 0 ]] && return
    while IFS=$'\t' read -r place text kind summary; do
        if [[ $place == "$path" ]]; then
            if [[ $text == '*' ]]; then
                ((nth++ == given)) && takes=$kind
            elif [[ $text == -* ]]; then
                options+=("$text")
                if [[ $text == "$before" && $kind != '*' ]]; then
                    takes=$kind
                    break
                fi
            else
                words+=("$text")
            fi
        fi
    done <<<"$_claude_gatewayctl_table"
    case $takes in
    =*)
        while IFS=$'\t' read -r place text kind summary; do
            [[ $place == "$takes" ]] && values+=("$text")
        done <<<"$_claude_gatewayctl_table"
        ;;
    profiles)
        while IFS= read -r candidate; do
            values+=("$candidate")
        done < <(sed -n 's/^\[profile  *\(.*\)\]$/\1/p; s/^\[\(default\)\]$/\1/p' \
            "${AWS_CONFIG_FILE:-$HOME/.aws/config}" 2>/dev/null)
        ;;
    files)
        if [[ $word != -* ]]; then
            compopt -o filenames 2>/dev/null
            while IFS= read -r candidate; do
                COMPREPLY+=("$candidate")
            done < <(compgen -f -- "$word")
            return
        fi
        ;;
    -) [[ $word == -* ]] || return ;;
    *) values=("${words[@]}") ;;
    esac
    [[ $word == -* || ${#values[@]} -eq 0 && -z $takes ]] && values=("${options[@]}")
    for candidate in "${values[@]}"; do
        [[ $candidate == "$word"* ]] && COMPREPLY+=("$(printf %q "$candidate")")
    done
}

complete -F _claude_gatewayctl claude-gatewayctl
