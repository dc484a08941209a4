# claude-gatewayctl's words, for fish. By: claude-gatewayctl completion fish

# One line for each word: the words before it, the word itself (* is any), its argument, its description.
set -g __claude_gatewayctl_table (string split \n -- '
@TABLE@
')

function __claude_gatewayctl
    set -l words (commandline -opc)[2..-1]
    set -l word (commandline -ct)
    set -l path .
    set -l takes ''
    set -l given 0
    set -l nth 0
    set -l shown
    set -l options
    for one in $words
        set -l known (string split -m 1 -f 1 \t -- $__claude_gatewayctl_table)
        if test $path = .; and contains -- $one $known
            set path $one
        else if contains -- "$path $one" $known
            set path "$path $one"
        else if not string match -q -- '-*' $one
            set given (math $given + 1)
        end
    end
    test $path = .; and test $given -gt 0; and return
    for row in $__claude_gatewayctl_table
        set -l cells (string split \t -- $row)
        test "$cells[1]" = $path; or continue
        if test $cells[2] = '*'
            test $nth = $given; and set takes $cells[3]
            set nth (math $nth + 1)
        else if string match -q -- '-*' $cells[2]
            set -a options $cells[2]\t$cells[4]
            if test $cells[3] != '*'; and test "$words[-1]" = $cells[2]
                set takes $cells[3]
                break
            end
        else
            set -a shown $cells[2]\t$cells[4]
        end
    end
    if string match -q -- '-*' $word
        string join \n -- $options
        return
    end
    switch $takes
        case '=*'
            string match -rg "^$takes\\t([^\\t]+)" -- $__claude_gatewayctl_table
        case profiles
            set -l file $HOME/.aws/config
            set -q AWS_CONFIG_FILE; and set file $AWS_CONFIG_FILE
            sed -n 's/^\[profile  *\(.*\)\]$/\1/p; s/^\[\(default\)\]$/\1/p' $file 2>/dev/null
        case files
            __fish_complete_path $word
        case '-'
        case '*'
            if set -q shown[1]
                string join \n -- $shown
            else
                string join \n -- $options
            end
    end
end

complete -c claude-gatewayctl -f -a '(__claude_gatewayctl)'
