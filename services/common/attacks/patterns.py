# ruff: noqa: E501 - an expression stays in one piece
"""Usher's own patterns of attack: RE2 expressions over the views of a text (views.py), each under an id that stays.

An expression describes what an attack must do, not how one was spelled: leave the string it stands in, compare, call,
climb a path, open a tag. Case, white space, comments and encodings are gone by then. Ids are never used twice.

Sources of what there is to catch: OWASP's Web Security Testing Guide (sections 4.7.1 to 4.7.18), the SQL dialects' own
manuals, the HTML standard's list of event handlers and of elements that load or run something, RFC 4515 (LDAP filters).
"""

from __future__ import annotations

from typing import NamedTuple

SQLI, XSS, TRAVERSAL, COMMAND, TEMPLATE, LDAP, LOG, CODE, XXE, SSRF = CLASSES = (
    "sqli",
    "xss",
    "traversal",
    "command",
    "template",
    "ldap",
    "log",
    "code",
    "xxe",
    "ssrf",
)
"""Classes of attack."""


class Pattern(NamedTuple):
    """One expression."""

    id: str
    attack: str
    """One of CLASSES."""
    about: str
    regex: str
    """RE2, over a view in lower case."""
    strict: bool = False
    """Only where a field is no prose: identifiers, error codes, paths, names of metadata."""


_Q = "['\"`]"
_CMP = (
    r"(?:=|<|>|!=|<=>|~|\blike\b|\brlike\b|\bregexp\b|\bis\b|\bin ?\(|\bbetween\b|\bsounds\b|\bdiv\b|\bmod\b)"
)
_BOOL = r"(?:\bx?or\b|\band\b|\|\||&&|\bhaving\b|\bwhere\b|\bnot\b)"
_OPEN = r"[ (+~!@\-]*"
_STATEMENT = (
    r"(?:select\b ?(?:[*@(\d'\"`\[]|\w+ ?[(,]|[\w.]+ from\b|null\b|case\b|distinct|top \d|$)|insert (?:ignore )?into\b|"
    r"update [\w.\"`\[\]]+ set\b|delete from\b|(?:drop|truncate|alter|create|rename) (?:or replace |temporary |unique )?(?:table|database|view|user|"
    r"role|login|index|procedure|function|schema|trigger|session|system)\b|drop \w+ ?(?:;|--|$)|exec(?:ute)?\b ?(?:[('@\[]|master|[xs]p_|"
    r"immediate|\w+\.\.)|declare\b ?[@\w]|waitfor\b|shutdown\b ?(?:with|;|--|$)|grant (?:all|select|insert|update|delete|execute|connect|create|alter|dba|usage|super|file)\b|merge into\b|replace into\b|"
    r"copy \w+ (?:from|to)\b|load data\b|handler \w+ open|prepare \w+ from|do ?(?:sleep|\$)|call ?\w+\(|begin (?:declare|execute|dbms|for)|"
    r"if ?\(|set @|use \w+ ?(?:;|--|$)|attach database|lock tables?\b|union (?:all )?select|print ?(?:@|')|backup (?:database|log)|bulk insert|"
    r"merge\b ?using|vacuum ?(?:;|--|$)|iif ?\(|case when)"
)
_TIMER = (
    r"(?:sleep|pg_sleep(?:_for|_until)?|benchmark|dbms_pipe\.receive_message|dbms_lock\.sleep|generate_series|randomblob|"
    r"dbms_session\.sleep|user_lock\.sleep)"
)
_CALL = (
    r"(?:utl_http\.\w+|utl_file\.\w+|extractvalue|updatexml|load_file|load_extension|group_concat|concat_ws|json_keys|gtid_subset|gtid_subtract|"
    r"st_latfromgeohash|st_pointfromgeohash|row_count|found_rows|make_set|elt|unhex|aes_decrypt|name_const|"
    r"utl_http\.request|utl_inaddr\.get_host_(?:name|address)|ctxsys\.drithsx\.sn|dbms_\w+\.\w+|sys_context|xmltype|"
    r"to_char|to_number|string_agg|array_to_string|xmlagg|xmlforest|query_to_xml|database_to_xml|current_setting|lo_import|"
    r"pg_read_file|pg_ls_dir|openrowset|opendatasource|openquery|is_srvrolemember|object_id|object_name|db_name|"
    r"schema_name|suser_s?name|user_name|host_name|sqlite_version|fn_\w+|quotename|rdb\$get_context|uuid_short)"
)
_SCALAR = (
    r"(?:ascii|ord|char_length|character_length|length|len|substr(?:ing)?|substring_index|mid|left|right|lower|upper|ucase|"
    r"concat|char|chr|nchar|hex|bin|cast|convert|ifnull|isnull|nullif|nvl2?|coalesce|iif|decode|instr|locate|position|"
    r"strpos|patindex|charindex|reverse|replace|lpad|rpad|md5|sha1?|count|sum|max|min|floor|rand|exp|pow(?:er)?|abs|sign|"
    r"database|schema|version|user|system_user|session_user|current_user|current_database|now|sysdate|getdate|bit_count)"
)
_SYSTEM = (
    r"(?:information_schema\b|sys(?:objects|columns|databases|users|logins|processes|tables|views|messages|types)\b|sys\.\w+|"
    r"master\.\.?\w+|msdb\.\.?\w+|pg_catalog\b|pg_(?:user|shadow|database|class|tables|stat_activity|authid)\b|"
    r"mysql\.(?:user|db|innodb_table_stats|innodb_index_stats)\b|all_(?:tables|tab_columns|users|objects)\b|"
    r"(?:user|dba)_(?:tables|tab_columns|users|objects|constraints)\b|sqlite_(?:master|schema|temp_master)\b|v\$(?:version|"
    r"session|database|instance|parameter)|syscat\.\w+|sysibm\.\w+|sysmaster\w*|rdb\$\w+|msysaccessobjects|msysobjects|"
    r"domain\.domains|performance_schema\b|syslogins)"
)
_EVENT = (
    r"on(?:abort|activate|after(?:print|scriptexecute|update)|animation\w+|auxclick|before\w+|begin|blur|bounce|cancel|canplay\w*|"
    r"cell\w+|change|click|close|contextmenu|controlselect|copy|cuechange|cut|data\w+|dblclick|deactivate|drag\w*|drop|"
    r"durationchange|emptied|end|ended|error\w*|filterchange|finish|focus\w*|formdata|formchange|forminput|fullscreen\w+|"
    r"gotpointercapture|hashchange|help|input|invalid|key(?:down|press|up)|language\w+|layoutcomplete|load\w*|losecapture|"
    r"lostpointercapture|media\w+|message\w*|mouse\w+|move\w*|offline|online|outofsync|page\w+|paste|pause|play\w*|"
    r"pointer\w+|popstate|progress|propertychange|ratechange|readystatechange|redo|rejectionhandled|repeat|reset|resize\w*|"
    r"resume|reverse|row\w+|scroll\w*|search|securitypolicyviolation|seek\w*|select\w*|show|slotchange|stalled|start|stop|"
    r"storage|submit|suspend|sync\w+|time\w*|toggle|touch\w+|track\w*|transition\w+|undo|unhandledrejection|unload|url\w+|"
    r"volumechange|waiting|webkit\w+|wheel|zoom|afterprint|fullscreenchange|sort)"
)
_ACTIVE = (
    r"(?:script|iframe|frame|frameset|object|embed|applet|meta|link|style|base|form|svg|math|img|image|video|audio|source|track|"
    r"body|html|head|isindex|bgsound|layer|ilayer|xml|xss|details|marquee|keygen|template|noscript|noembed|noframes|"
    r"dialog|animate\w*|set|handler|listener|portal|input|button|select|textarea|option|param|plaintext|xmp|title|"
    r"foreignobject|use|feimage|fencedframe|slot|datalist|menuitem|discard|eval|server|comment|vmlframe|vmlimage)"
)
_SINK = (
    r"(?:alert|confirm|prompt|eval|settimeout|setinterval|setimmediate|execscript|fetch|atob|btoa|unescape|decodeuri(?:component)?|"
    r"function|import|require|print|open|postmessage|console\.\w+|navigator\.\w+|document\.\w+|window\.\w+|string\.fromcharcode|"
    r"\$\.(?:get|post|ajax|getscript|globaleval)|jquery\.\w+|xmlhttprequest|activexobject|websocket|reflect\.\w+|vectors)"
)
_ARGUMENT = r"(?:['\"`/\d!~+\[{(<]|document|location|this|window|self|top|parent|name|xss|cookie|string|unescape|atob|eval|[a-rt-z]\)|[a-z_$][\w$]+ ?[.(,\[]|[a-z_$][\w$]+\)|\))"
_STRONG = (
    r"(?:cat|ls|dir|id|whoami|uname|wget|curl|nc|ncat|netcat|bash|sh|zsh|ksh|csh|dash|ping6?|nslookup|dig|ifconfig|ipconfig|"
    r"netstat|ps|killall|rm|mv|cp|chmod|chown|printf|sed|g?awk|grep|tac|od|xxd|base64|python[\d.]*|perl|ruby|php|node|gcc|"
    r"telnet|tftp|scp|ssh|socat|openssl|tee|systeminfo|tasklist|certutil|bitsadmin|powershell|pwsh|cmd|wmic|mshta|rundll32|"
    r"regsvr32|cscript|wscript|crontab|useradd|usermod|sudo|printenv|nohup|busybox|gzip|sendmail|mysql|psql|hostname|pwd|lsof|"
    r"uptime|traceroute|tracert|xargs|tcpdump|nmap|mkfifo|mknod|chsh|ftp|echo|sleep)"
)
_WEAK = (
    r"(?:kill|touch|find|head|tail|more|less|nl|host|type|net|reg|start|del|copy|passwd|su|env|set|export|eval|exec|source|timeout|"
    r"tar|zip|mail|date|w|who|which|mount|df|history|arp|route|for|while|if|ver|finger|time|watch|dd|strings|vi|vim|nano|screen|lua|java)"
)
_COMMANDS = rf"(?:{_STRONG}|{_WEAK})"
_FILES = (
    r"(?:etc[/\\]+(?:[\w.-]+[/\\]+)*(?:passwd|shadow|group|gshadow|hosts?|hostname|issue|motd|fstab|crontab|cron|sudoers|mysql|my\.cnf|"
    r"apache2?|httpd|nginx|ssh|php\d?|resolv\.conf|profile|master\.passwd|subuid|subgid|os-release|redhat-release|inetd\.conf|"
    r"networks|protocols|services|ssl|kubernetes|environment|security|pam|init\.d|inittab|bash\.bashrc|exports|rc\.\w+|sysctl\.conf|"
    r"syslog\.conf|logrotate|proftpd|vsftpd|samba|ldap|opt|default|sysconfig|lsb-release|debian_version|mtab|tomcat\w*)|"
    r"(?:web|meta)-inf[/\\]+\w|win(?:dows|nt)[/\\]+(?:\w+[/\\]+)*(?:win\.ini|system(?:32|\.ini)|php\.ini|repair|drivers|"
    r"iis\d?\.log|notepad|explorer|my\.ini|panther|debug|temp|cmd\.exe|regedit)|system32[/\\]|boot\.ini|winnt[/\\]|"
    r"proc[/\\]+(?:self|thread-self|\d+|version|cmdline|interrupts|meminfo|cpuinfo|mounts|net|stat|modules|filesystems|"
    r"partitions|devices|sched_debug|kcore|sys)\b|sys[/\\]+(?:class|kernel|devices|block|firmware)\b|"
    r"var[/\\]+(?:log|lib|www|run|mail|spool|cache|backups|adm|apache\d?|opt|tmp)[/\\]|usr[/\\]+(?:local|lib|share|bin|sbin|etc|home|pkg)[/\\]+\w+[/\\]|"
    r"root[/\\]+\.|home[/\\]+[\w.$~-]+[/\\]+\.|dev[/\\]+(?:tcp|udp|shm|null|random|urandom|fd)\b|"
    r"(?:opt|srv|tmp|mnt)[/\\]+(?:lampp|xampp|tomcat|sess_|apache|nginx|curl|wget)|"
    r"inetpub[/\\]|(?:apache|xampp|wamp|mysql|php|nginx)[/\\]+(?:conf|logs?|bin|data|htdocs)[/\\]|"
    r"program ?files[^/\\]{0,8}[/\\]|documents and settings[/\\]|c:[/\\]+(?:boot|win|users|inetpub|program|xampp|apache|sysprep|unattend))"
)
_DOTFILES = (
    r"(?:\.ssh|\.aws|\.gnupg|\.git|\.svn|\.hg|\.bzr|\.env|\.htaccess|\.htpasswd|\.htdigest|\.bash_history|\.bashrc|\.bash_profile|"
    r"\.profile|\.zsh_history|\.zshrc|\.mysql_history|\.psql_history|\.sh_history|\.history|\.npmrc|\.pypirc|\.netrc|\.pgpass|"
    r"\.my\.cnf|\.dockerenv|\.docker|\.dockercfg|\.kube|\.azure|\.config|\.vscode|\.idea|\.ds_store|\.gitignore|\.gitconfig|"
    r"\.viminfo|\.rhosts|\.shosts|\.cvs|\.cache|\.local|\.subversion|\.travis\.yml|\.github|\.gitlab-ci\.yml|\.user\.ini|\.mailrc)"
)
_SECRETS = (
    r"(?:id_(?:rsa|dsa|ecdsa|ed25519)\b|authorized_keys\b|known_hosts\b|wp-config\.php|configuration\.php|config\.inc\.php|"
    r"localsettings\.php|settings\.php|web\.config\b|machine\.config|php\.ini\b|httpd\.conf\b|apache2\.conf|nginx\.conf|"
    r"my\.(?:cnf|ini)\b|server\.xml\b|tomcat-users\.xml|appsettings\.json|database\.yml\b|secrets?\.(?:yml|yaml|env|json|toml)\b|"
    r"credentials\.(?:xml|json)|phpmyadmin[/\\]|phpinfo\.php|(?:dump|backup|db|database|site|www)\.(?:sql|tar|tgz|zip|bak|rar|7z)\b|"
    r"\w+\.sql\.(?:gz|zip|bz2|tar|xz|7z)\b|wp-content[/\\]+[\w./\\-]*\.log\b|win\.ini\b|error_?log\b|access[._]log\b|"
    r"\.(?:php|asp|aspx|jsp|cgi|inc|config|conf)(?:\.(?:bak|old|orig|save|swp|tmp|txt)|~)(?:$|[?&\s]))"
)

_FUNCTION = (
    r"(?:abs|acos|adddate|addtime|aes_(?:de|en)crypt|ascii(?:str)?|asin|atan2?|avg|benchmark|bin(?:_to_num)?|bit_(?:and|count|length|or|xor)|"
    r"cast|ceil(?:ing)?|char(?:_length|acter_length|index|set)?|chr|coalesce|coercibility|collation|compress|concat(?:_ws)?|"
    r"connection_id|convert(?:_tz)?|cos|cot|count|cr32|curdate|current_(?:date|time|timestamp|user)|curtime|database|datediff|"
    r"date_(?:add|format|sub)|day(?:name|ofmonth|ofweek|ofyear)|dcount|decode|degrees|div|des_(?:de|en)crypt|dump|elt|enc(?:ode|rypt)|"
    r"exp(?:ort_set)?|extract(?:value)?|field(?:_in_set)?|find_in_set|floor|found_rows|from_(?:base64|days|unixtime)|get_(?:format|lock)|"
    r"greatest|group_concat|hex(?:toraw)?|ifnull|inet6?_(?:aton|ntoa)|insert|instr|interval|is(?:_(?:free|used)_lock|null)|json_\w+|"
    r"last(?:_day|_insert_id)|lcase|least|length|ln|load_file|local(?:time|timestamp)|locate|log(?:10|2)|lower|lpad|ltrim|make(?:date|_set)|"
    r"master_pos_wait|max|md5|microsecond|mid|min|minute|mod|month(?:name)?|name_const|now|nullif|nvl2?|oct(?:et_length)?|ord|"
    r"old_password|password|period_(?:add|diff)|pg_(?:client_encoding|sleep)|pi|position|pow(?:er)?|procedure_analyse|quarter|quote|"
    r"radians|rand(?:omblob)?|rawto(?:hex|nhex(?:toraw)?)?|release_lock|repeat|replace|reverse|round|row_count|rpad|rtrim|schema|"
    r"sec_to_time|session_user|sha[12]?|sign|sin|sleep|soundex|space|sqrt|st_(?:tohashmbr|within)|std(?:dev(?:_pop|_samp)?)?|start(?:s_with)|str(?:cmp|_to_date)|"
    r"sub(?:date|str(?:ing(?:_index)?)?|time)|sum|sysdate|system_user|tan|time(?:diff|stamp(?:add|diff)?|_format|_to_sec)|"
    r"to_(?:base64|n?char|days|seconds|number)|trim|truncate|ucase|uncompress(?:ed_length)?|unhex|unix_timestamp|unistr|updatexml|upper|"
    r"utc_(?:date|time|timestamp)|uuid(?:_short)?|values|var(?:iance|_pop|_samp)|version|week(?:day|ofyear)|weight_string|xmltype|year(?:week)?)"
)

OWN: tuple[Pattern, ...] = (
    # -- SQL: leaving the string ---------------------------------------------------------------------------------------
    Pattern(
        "sqli-001",
        SQLI,
        "a quote or bracket is closed, then a condition is added that compares",
        rf"{_Q}[ )]*(?:{_BOOL})[ (+~!@'\"`\-]*[\w.@$%*\]\[]*(?:\([^()]*\))?['\"`]*[ )]*(?:{_CMP})",
    ),
    Pattern(
        "sqli-002",
        SQLI,
        "a number, then a condition that compares",
        rf"(?:^|[=(, ])-?\d+{_Q}?[ )%]*(?:{_BOOL}){_OPEN}n?{_Q}?[\w.@$]+(?:\([^()]*\))?{_Q}?[ )]*(?:{_CMP})",
    ),
    Pattern(
        "sqli-003",
        SQLI,
        "two constants are compared in a condition",
        rf"(?:{_BOOL}){_OPEN}(?:n?{_Q}+\w*{_Q}+|\d+(?:\.\d+)?|0x[0-9a-f]+) ?\)* ?(?:=|<|>|!=|<=>|\blike\b|\brlike\b|\bis\b|\bin\b) ?[(!>=+~\-]*"
        rf"(?:n?{_Q}+\w*{_Q}?|\d|0x[0-9a-f]+|select\b|true|false|null)",
    ),
    Pattern(
        "sqli-004",
        SQLI,
        "a condition that calls or selects",
        rf"(?:{_BOOL}|[=<>*/+\-%^&|,]|\bin\b){_OPEN}(?:if|case|exists|{_TIMER}|{_CALL}|{_SCALAR}|select) ?\( ?(?:select|\(|{_Q}|\d{{1,3}}(?:\D|$)|0x|@|{_SCALAR} ?\(|case|when)",
    ),
    Pattern(
        "sqli-005",
        SQLI,
        "a condition on a subquery",
        rf"(?:{_BOOL}|[=<>|,(]|\bexists\b|\bin\b){_OPEN}\( ?select\b",
    ),
    Pattern(
        "sqli-006",
        SQLI,
        "a quote that stands first is followed by an operator and a quote",
        rf"^{_Q}+ ?(?:(?:[-&^*+|=<>~%/!]|or|and|like|is|div|mod|xor)+ ?{_Q}|(?:x?or|and|\|\||&&) ?$)|^['\");]+ ?(?:--|#) ?$|^\d+\\['\"]\d+$",
    ),
    Pattern(
        "sqli-007",
        SQLI,
        "the rest of a statement is commented out behind a quote or bracket",
        rf"{_Q}[ )\]]*;? ?(?:--|#|/\*|;%00|;$)[ +\-]*{_Q}?(?:$|\n|-|\+|&)",
    ),
    Pattern(
        "sqli-008",
        SQLI,
        "the rest of a statement is commented out behind a number",
        r"(?:^|=)-?\d+[ )]*;? ?(?:--|#|/\*)[ +\-]*$",
    ),
    Pattern(
        "sqli-009",
        SQLI,
        "a quote, then an operator on strings",
        rf"{_Q} ?(?:\|\||\+|\bconcat\b|;|\^|\*|%|&|\bdiv\b) ?(?:{_Q}|\(|\(?\bselect\b|chr?\(|char\(|@@|{_SCALAR} ?\(|{_CALL})",
    ),
    Pattern(
        "sqli-010",
        SQLI,
        "a quote, then or, and a quote, with nothing before that opened it",
        rf"^[^'\"`]*{_Q}[ )]*(?:\|\||&&|\bx?or\b|\band\b)[ (]*{_Q}",
    ),
    Pattern(
        "sqli-011",
        SQLI,
        "a condition that is constant",
        rf"(?:\bor\b|\|\|){_OPEN}(?:true|false|null|not null|not true|not false|\d+|{_Q}[^'\"`]*{_Q})[ )]*(?:--|#|;|/\*|'|=)",
    ),
    Pattern(
        "sqli-012",
        SQLI,
        "or between numbers or one-letter names",
        rf"\b(?:x?or|and)\b ?\(?(?:\d+ ?(?:=|<|>|!=|(?:not )?like\b)|[a-z] ?(?:=|!=|(?:not )?like\b)|(?:\d+|[a-z]) ?between \d+ and \d+) ?\(?(?:\d+|[a-z]\b|{_Q}|$)?(?:$|[ ;#)&\-/'\"])",
    ),
    # -- SQL: another statement ----------------------------------------------------------------------------------------
    Pattern(
        "sqli-020",
        SQLI,
        "union select",
        r"\bunion\b[^a-z0-9]*(?:all\b|distinct(?:row)?\b)?[^a-z0-9]*\b(?:select|values)\b ?(?:$|[^a-z ]|all |distinct |top |null|char|concat|[\w.]+ ?[,(]|[\w.]+ from\b|\w+ ?(?:--|#|/\*|;))",
    ),
    Pattern(
        "sqli-021",
        SQLI,
        "select of expressions from a table",
        rf"\bselect\b ?(?:all |distinct(?:row)? |top \d+ )?(?:\*|count|@@?\w|\d|null|{_Q}|\(|[\w.\"`]+ ?[,(]).*\bfrom\b",
    ),
    Pattern(
        "sqli-022",
        SQLI,
        "select that is closed, conditioned or aimed at a table of accounts",
        r"\bselect\b [\w.\"`]+ from [\w.\"`]+ ?(?:where |limit |order by|group by|union|;|--|#|/\*|\)|')|\bselect\b [\w.*,\" ]+ from [\w.\"`]*(?:user|pass|admin|account|member|login|customer|employee|dual\b|dba_|tab)",
    ),
    Pattern(
        "sqli-023",
        SQLI,
        "a further statement after a semicolon",
        rf"; ?{_STATEMENT}",
    ),
    Pattern(
        "sqli-024",
        SQLI,
        "a statement that changes what there is",
        r"\b(?:drop|truncate|alter) (?:table|database|schema|view|procedure|function|trigger|index) (?:if exists )?[\w.\"`\[]+ ?(?:$|;|--|#|/\*|,|add |modify |cascade|rename |drop |\))|\binsert ?(?:ignore |low_priority |delayed )?into\b ?[\w.\"`\[\]]+ ?(?:\(|values?\b|select\b|set\b)|\bdelete from [\w.\"`]+ ?(?:where\b|;|--|#|$)|\bupdate [\w.\"`]+ set [\w.\"`]+ ?=|\bcreate (?:temp(?:orary)? )?table (?:if not exists )?[\w.\"`\[]+ ?\(|\bcreate (?:or replace )?(?:function|procedure|trigger|view) \w+ ?(?:\(|as\b)|[(;'\"] ?select top \d|\bselect @\w+ as \w+",
    ),
    Pattern(
        "sqli-025",
        SQLI,
        "a statement run out of a string, or a procedure of the server",
        r"\bexec(?:ute)?\b ?(?:\( ?['@n]|immediate\b|master\b|[x]p_|sp_\w|\w+\.\.|@\w|xp_)|\bxp_(?:cmdshell|reg\w+|dirtree|fileexist|loginconfig|servicecontrol|enumdsn|availablemedia|makecab|ntsec|terminate|subdirs|filelist|enumgroups)|\bsp_(?:executesql|oacreate|oamethod|addextendedproc|configure|password|makewebtask|addlogin|addsrvrolemember|who2?|helpdb|replwritetovarbin|sqlexec|prepare|execute|tables|columns|msforeach\w+)\b|\bdeclare @\w+|\bexec sp\b",
    ),
    Pattern(
        "sqli-026",
        SQLI,
        "a table of the server itself",
        rf"(?:\bfrom\b|\bjoin\b|\binto\b|\bupdate\b|,|\(|[.=]) ?[\"`\[(]*(?:{_SYSTEM})|\b(?:information_schema|sqlite_master|pg_catalog|sysobjects|syscolumns|mysql\.user)\b ?[\]\"`.)]",
    ),
    Pattern(
        "sqli-027",
        SQLI,
        "a file written or read by the database",
        r"\binto (?:out|dump)file\b|\bload_file ?\(|\bload data (?:local )?infile\b|\bcopy \w+ (?:from|to) (?:'|program)|\bbulk insert \w+|\bbackup (?:database|log) \w+ to |\brestore database \w+ from",
    ),
    # -- SQL: functions and clauses ------------------------------------------------------------------------------------
    Pattern(
        "sqli-030",
        SQLI,
        "a delay",
        rf"\b{_TIMER}(?:\( ?|/\*.*\*/ ?\( ?| \( ?(?:[-+]|\d{{1,3}} ?[),]|\D))[^ ]|\bwaitfor (?:delay|time)\b|\bwait for delay\b",
    ),
    Pattern(
        "sqli-031",
        SQLI,
        "a function that only an injection calls",
        rf"\b{_CALL} ?\( ?(?:['\"\d@(*,]|0x|select|null|case|if\b|\w+ ?[,(.]|\w+\))",
    ),
    Pattern(
        "sqli-032",
        SQLI,
        "text made out of numbers",
        r"\b(?:n?char|chr)\b ?\( ?(?:0x[0-9a-f]+|\d{1,4})(?: ?, ?\d{1,4}| ?\) ?(?:\+|\|\||&|,|\.)| ?\)\)? ?(?:$|=|and|or|from|--))|\bconcat(?:_ws)? ?\( ?(?:0x|char|['\"(@]|select|database|version|user|\w+ ?, ?(?:0x|char|'|\())",
    ),
    Pattern(
        "sqli-033",
        SQLI,
        "a variable of the server",
        r"@@(?:version|hostname|datadir|basedir|servername|language|spid|global|session|secure\w+|port|pack_received|max_\w+|cpu_busy|microsoftversion|\w*dir|\w+_\w+)\b|\b(?:print|select|union|,|=) ?@@\w+",
    ),
    Pattern(
        "sqli-034",
        SQLI,
        "the number of columns is sought, or results are grouped against their kind",
        rf"(?:^|{_Q}|\d|\)|;) ?(?:order|group) by \(?\d+ ?(?:$|--|#|,|;|\)|/\*|asc|desc|limit|{_Q})|\b(?:order|group) by \(?\d+ ?(?:--|#|;|\) ?--|/\*)|\bhaving {_Q}?\w+{_Q}? ?(?:=|<|>|like)|\bgroup by [\w.,`\" ]+ having\b|\bprocedure analyse\b|\border by (?:\(|if\b|case\b|sleep|rand\()",
    ),
    Pattern(
        "sqli-035",
        SQLI,
        "a choice inside an expression",
        r"\bcase\b[ (].*\bwhen\b.+\bthen\b|\b(?:if|iif) ?\( ?(?:\(|\d+ ?[=<>]|['\"]|select|ascii|ord|substr|mid|length|user|version|database|exists|1\b)[^)]*[,)]",
    ),
    Pattern(
        "sqli-036",
        SQLI,
        "conversion that is meant to fail",
        r"\b(?:cast|convert|try_cast|try_convert) ?\( ?(?:\(|int\b|n?varchar|char|signed|select|@@|'|0x|version|user|db_name|\w+ as )[^;]*(?:\bas\b|,|\busing\b)",
    ),
    Pattern(
        "sqli-037",
        SQLI,
        "part of a string of the database is compared",
        r"\b(?:substr(?:ing)?|mid|left|right|ascii|ord|unicode|bit_length|char_length|length|len|hex|lower|upper) ?\( ?(?:\(|@@|select|database|schema|version|user|system_user|current_user|\w+ ?\(|[\w./@$\"`]+(?:\(\))? ?, ?\d+ ?(?:, ?\d+ ?)?\) ?(?:=|<|>|in|like)|'[^']*' ?, ?\d)",
    ),
    Pattern("sqli-038", SQLI, "a comment that MySQL runs", r"/\*[!m]!?\d{0,6} ?\w"),
    Pattern(
        "sqli-039",
        SQLI,
        "a pattern or range of the database in a condition",
        rf"(?:{_BOOL}|{_Q}|\d|\)) ?(?:not )?(?:rlike|regexp|like|glob|similar to|sounds like|between) ?(?:binary )?[(]*(?:{_Q}[^'\"]*|0x|char|\(|select|\d+ and \d+|(?:\w+) and (?:\w+)(?:$|--|#))(?:$|{_Q}|%| |\))",
    ),
    Pattern(
        "sqli-040",
        SQLI,
        "limit after a quote or a condition",
        rf"{_Q}.*\blimit \d+(?: ?, ?\d+| offset \d+)?(?:$|[ ;#)'\"-])|\blimit \d+ ?(?:, ?\d+|offset \d+)? ?(?:--|#|/\*|into\b|union\b|procedure\b|;)",
    ),
    Pattern(
        "sqli-041",
        SQLI,
        "null is tested behind a quote or number",
        rf"(?:{_Q}|\d|\)) ?(?:and|or|xor|\|\||&&|where) [\w.({_Q[1:-1]}]+\)? is (?:not )?null\b",
    ),
    Pattern(
        "sqli-042",
        SQLI,
        "a function of no argument that tells of the database",
        rf"(?:[=,(*+|]|select|{_BOOL}|union) ?(?:database|schema|version|user|system_user|session_user|current_user|sqlite_version|current_database|current_schema|connection_id|last_insert_id|row_count|load_file|uuid|pi|now|sysdate) ?\( ?\)",
    ),
    Pattern(
        "sqli-043",
        SQLI,
        "a hexadecimal string where a value is expected",
        r"(?:select|concat|,|=|union|like|char|\() ?0x[0-9a-f]{4,}(?:[ ,)]|$|--|#)(?:.*(?:--|#|,|\)|from|limit)|$)",
    ),
    Pattern(
        "sqli-044",
        SQLI,
        "a scientific number or another oddity glued to a keyword",
        r"\b\d+(?:\.\d*)?e\d*(?:union|select|from|or|and)\b|\b\d+(?:union|select)\b|\.(?:union|select)[ (]|\bselect[\"'`@!~+\-(]|\bfrom[`(\[{][\w(`]|\{\w+ (?:select|[\w.`]+\.|information|\()",
    ),
    Pattern(
        "sqli-045",
        SQLI,
        "a query language that is no SQL (MongoDB and its like)",
        rf"\[\$(?:ne|eq|gte?|lte?|n?in|regex|where|exists|or|and|not|all|size|type|mod|elemmatch|func|expr|options|comment)\]|{_Q}?\$(?:where|ne|n?or|not|and|text|gte?|lte?|n?in|eq|regex|exists|elemmatch|expr|function|accumulator|comment|slice|size|mod|all|type|jsonschema){_Q}? ?[:=]|{_Q} ?(?:\|\||&&) ?(?:this\.|{_Q}?\w+{_Q}? ?==)|(?:\|\||&&) ?\d ?={{2,3}} ?\d|; ?return (?:true|1|this|\()|;\w+=new date\(|\bnew date\(\);? ?(?:do|while)|while ?\( ?(?:1|true|\w+-\w+)|\bdb\.(?:\w+\.)?(?:find|insert|update|remove|drop|aggregate|getcollection|getcollectionnames|injection)\b|\bdb\.\w+\.\w+ ?\(|\bthis\.\w+ ?(?:==|!=|\.match|\.length)|\$in:? ?\[|\bmapreduce\b.*[({{]",
    ),
    Pattern(
        "sqli-046",
        SQLI,
        "alternative quoting, or a call of a driver",
        r"\bq'[\[{(<!|].*[\]})>!|]'|\{(?:fn|oj|d|t|ts) [\w'(]|\bx'[0-9a-f]{2,}'|\bb'[01]{4,}'|\bn'[^']*' ?(?:=|\+|,|\)|--)|_(?:utf8|latin1|binary)(?:mb4)? ?(?:'|0x)",
    ),
    Pattern(
        "sqli-047",
        SQLI,
        "a quote, then arithmetic that leaves a number",
        rf"^[^'\"`\s]*{_Q}[ )]*(?:[+*/^%&|-]|<<|>>)+ ?(?:\d+|{_Q}|\(|true|false)[ )]*(?:$|--|#|;|{_Q})",
    ),
    Pattern(
        "sqli-048",
        SQLI,
        "a quote, then white space or brackets and a keyword of a statement",
        rf"{_Q}[ )]*;? ?(?:union|having|group by|order by|limit|procedure|into|exec|select|insert into|drop|waitfor|update \w+ set|delete from|shutdown)\b(?:[ (*]*(?:$|[@\d'\"(*;=-]|--|#|all|select|\w+ ?[(=,;]|by\b|outfile|dumpfile|delay|table|with))",
    ),
    Pattern(
        "sqli-050",
        SQLI,
        "a function of the database is called",
        rf"(?:^|[^\w.-]){_FUNCTION}(?:\(|/\*.*\*/ ?\(| \( ?(?:\d{{1,3}} ?[,)+*/=-]|['\"@*)]|0x|select\b|{_FUNCTION}\())|\b{_FUNCTION}\W{{0,6}}\($",
    ),
    Pattern(
        "sqli-051",
        SQLI,
        "a condition that compares with a string",
        r"\b(?:or|and)\b ?\(? ?[\w.]+ ?={1,2} ?\(?(?:['\"]|$)|\b(?:or|and)\b ?\( ?['\"]?\w+['\"]? ?=",
    ),
    Pattern(
        "sqli-052",
        SQLI,
        "a quote, an operator in words, and the rest commented out",
        rf"{_Q}[ )]*[-+*/|=<>^&%]{{1,2}} ?[\w.(]+[^'\"]*(?:--|#|/\*) ?-?$|{_Q}[ )]*(?:is not|is|not|notnull|isnull|glob|collate|sounds like|x?or|and|like|rlike|regexp|between|in|mod|div)[^a-z][^'\"]*(?:--|#|/\*|;) ?[\w -]*$|{_Q}[ )]*(?:notnull|isnull|collate [\w ]+|glob [\w(]+) ?(?:--|#|;|$)|{_Q}[ )]*(?:x?or|and)\b.*(?:\bglob\b|\bnotnull\b|\bisnull\b|\blike(?:ly|lihood)? ?\(|\bunlikely ?\(|\bcollate\b|\bjson ?\()",
    ),
    Pattern(
        "sqli-053",
        SQLI,
        "a conversion as PostgreSQL writes it",
        r"[\w)'\]]::(?:int(?:eger)?\d?|text|jsonb?|numeric|varchar|char|bool(?:ean)?|money|xml|name|oid|regclass|date|float\d?|bytea|timestamp)\b|\b(?:overlay|position|trim) ?\( ?\w+ (?:placing|in|from) |\blo_(?:get|put|import|export|create|unlink|from_bytea) ?\(|\bsqlite_\w+ ?\(?|\bjson[b]?_\w+ ?\(",
    ),
    Pattern(
        "sqli-054",
        SQLI,
        "a condition that always holds, alone",
        r"(?:^|[=,(])(?:1 ?= ?['\"]?1|0 ?= ?0|2 ?= ?2|['\"]1['\"] ?= ?['\"]1)['\"]?[ )]*$|(?:^|=)\d+ (?:is not|is|like|glob|rlike) \d+$|\d[ )]*(?:\bx?or\b|\|\|) ?(?:true|false)\b|\d[ +]union (?:all|distinct|select)\b|2\.225073858507201\de-308|\b\d\.?e[.(][a-z]|;--(?:$| |-)",
    ),
    Pattern(
        "sqli-055",
        SQLI,
        "a comment in place of a blank, or within a word",
        r"[\w)'\"]/\*(?:\*|!|[^/*][^/]*)?\*/[\w('\"]|^/\*.*\*/\w|/\*\*/.*/\*\*/",
    ),
    Pattern(
        "sqli-056",
        SQLI,
        "a piece of an argument list or of an object behind a quote that nothing opened",
        r"^[^'\"]*'[^'\"]*' ?, ?(?:0x|\(\d)|^ ?' ?'?,? ?', ?\d|^ ?', ?\d|^['\"] ?[:;)\]}]+ ?['\"\w\[{(]",
    ),
    Pattern(
        "sqli-049",
        SQLI,
        "a name of an account, then a quote and nothing more, or the end of the statement",
        rf"^(?:admin\w*|root|sa|sys|user\w?|test|guest|administrator|1|0|-1|\w)?{_Q}[ )]*(?:--|#|/\*|;|\)|%00|$)(?:$|[ \-+)'\";]*$)",
    ),
    Pattern(
        "sqli-057",
        SQLI,
        "an operator of logic, then a comparison",
        r"(?:\|\||&&) ?\(? ?!?[\w.]+ ?(?:[!=<>]=|=|<|>)|\b(?:x?or|and)\b ?\(? ?[\w.]+ ?(?:!=|<>|<=>|===)|\b(?:x?or|and)\b [\w.]+ ?= ?\d+ ?\)",
    ),
    Pattern(
        "sqli-058",
        SQLI,
        "an operator of comparison, alone or between numbers",
        r"^(?:\w{1,8}=)?(?:={2,3}|!=|<>|<=>|<=|>=|<<|>>|\|\||&&|->)$|\d ?(?:<=>|!=|<>) ?\d|\bin ?\( ?-?\d+ ?(?:, ?-?\d+ ?)+\)|^['\"]\w*['\"] ?(?:=|!=|<>) ?['\"]\w*['\"]?$|^x?or \d+ ?-?$",
    ),
    Pattern(
        "sqli-059",
        SQLI,
        "a call that is left open",
        r"\b(?:date|day|default|format|if|in|local|log|time|user|left|right|values|year|version|sleep|char|concat|select)\b\W{0,6}\($|\bif ?\( ?\d+ ?[=<>]",
    ),
    Pattern(
        "sqli-060",
        SQLI,
        "a condition on a text, such as a document of JSON",
        r"(?:\bx?or\b|\band\b|\|\||&&|^(?:\w=)?) ?(?:'[^']*'|\"[^\"]*\") ?(?:->|@>|<@|#>|\?[|&]? ?(?:'|array)|<|>|~)|\bset @\w+|\) ?when\b.*\bthen\b",
    ),
    Pattern(
        "sqli-061",
        SQLI,
        "a quote, a condition, and a word that ends in a mark",
        rf"{_Q} ?(?:x?or|and|xor) [\w,@]+ ?[!@-]+$|{_Q} ?(?:x?or|and) [\w(]+\(?\w*\)? and '",
    ),
    # -- markup and scripts --------------------------------------------------------------------------------------------
    Pattern(
        "xss-001",
        XSS,
        "a script element, whole or broken",
        r"<[^a-z>]{0,8}(?:[\w-]+:)?s ?c ?r ?i ?p ?t\b|</ ?script|\bscript ?>|<script",
    ),
    Pattern(
        "xss-002",
        XSS,
        "an element that loads or runs something",
        rf"<[^a-z>]{{0,6}}(?:[\w-]+:)?{_ACTIVE}(?:$|[\s/>\"'=<%+.,&;#\x00-\x1f*-])",
    ),
    Pattern(
        "xss-003",
        XSS,
        "an element with an event handler",
        r"<[^>]*[\s/\"'`+\x00-\x1f;,](?:on[a-z]{3,25}|fscommand|seeksegmenttime)[\s\x00-\x1f/\"'`]{0,4}=",
    ),
    Pattern(
        "xss-004",
        XSS,
        "an event handler set from within an attribute",
        rf"(?:^|[\s\"'`/;>,&(\x00-\x1f=?]){_EVENT} ?= ?(?:[\"'`{{\[(]|[\w$.]+ ?[(`=\[.;]|[\w$:./]*(?:alert|confirm|prompt|eval|javascript|location|document|window|xss|void)|\\|&|%|/)",
    ),
    Pattern(
        "xss-005", XSS, "an attribute is left and an event handler follows", rf"[\"'`>] ?/? ?{_EVENT} ?="
    ),
    Pattern(
        "xss-006",
        XSS,
        "a scheme that runs a script",
        r"(?:j ?\n?a ?\n?v ?\n?a|v ?\n?b|live|j|mocha|ecma|jav\w{0,3}) ?\n?s ?\n?c ?\n?r ?\n?i ?\n?p ?\n?t ?\n?(?::|&colon;?|&#) ?\n?(?:[\w.$\[(@+]+ ?(?:[(=`\[./;]|\\)|//|/\*|[%'\"*<\\`(\[{&!~+-]|\d|$|[a-z]+$|void|x\b)",
    ),
    Pattern(
        "xss-007",
        XSS,
        "a data URL with something active in it",
        r"data: ?(?:text/(?:html|xml|javascript|vbscript|xsl|css)|image/svg|application/(?:x-)?(?:javascript|xhtml|xml)|[\w/+;=-]*base64,[\w+/=]{8}|,<|;,)|data:[^,\s]*,[^,]*(?:<|alert|script)",
    ),
    Pattern(
        "xss-008",
        XSS,
        "a function of the browser is called",
        rf"(?:^|[^\w.-]|\bwindow\.|\bself\.|\btop\.|\bthis\.|\bparent\.|\bframes\.|\bglobalthis\.){_SINK} ?(?:\(|`|\?\.\(|&lpar;|\\x28|/\*.*?\*/ ?\() ?\n?{_ARGUMENT}",
    ),
    Pattern(
        "xss-009",
        XSS,
        "a property of the page or window",
        r"\bdocument ?(?:\.|\[|\?\.) ?['\"`]?(?:cookie|domain|write(?:ln)?|location|body|url|documenturi|referrer|forms|images|links|anchors|createelement|getelement\w+|queryselector|execcommand|implementation|defaultview|scripts|title|documentelement|head)\b|\b(?:window|self|top|parent|frames|globalthis|content) ?(?:\.|\[) ?['\"`]?(?:location|name|open|onerror|alert|eval|document|opener|localstorage|sessionstorage|top|\\|atob|set|/|\w+ ?\+)|\blocation ?(?:=|\.(?:href|hash|search|replace|assign)\b ?[=(.]|\[)|\.innerhtml\b|\.outerhtml\b|\.srcdoc\b|\.insertadjacenthtml|\blocalstorage\.|\bsessionstorage\.|\.cookie\b ?[+)=;]|\( ?document ?(?:/\*.*\*/ ?)?\) ?[\[.]|\[ ?\] ?\. ?(?:/\*.*\*/ ?)?\w+ ?\. ?call\b",
    ),
    Pattern(
        "xss-010",
        XSS,
        "a function reached without its name",
        r"\[ ?(?:['\"`][\w\\+'\"` ]*['\"`]|/\w+/\.source|\d+|\w+) ?(?:\+ ?['\"`/\w\\.]+ ?)*\] ?(?:\(|`|\[|=)(?:\d|['\"`/]|document|\w+\))|\bconstructor ?(?:\.|\[|\() ?['\"`(]?|\[['\"]?\]\[|(?:\[\]|!\[\]|\+\[\]|\{\}\+?|!!\[\]){3}|\.(?:map|find|filter|foreach|some|every|sort|reduce|findindex|from|replace|call|apply|bind) ?\( ?(?:alert|confirm|prompt|eval|print|document|window|/)|\b(?:throw|onerror|typeof|delete|void|new|in|with|yield|await) ?[=(/{'\"` ]?[/*({]* ?(?:alert|confirm|prompt|eval|onerror|xss|function|image\b|activexobject|xmlhttprequest)|\b\w+ ?= ?(?:alert|confirm|prompt|eval)\b|\( ?(?:alert|confirm|prompt|eval|print)\b ?\)|/(?:xss|alert|\w+)/\.source|\breflect\.\w+|(?:alert|confirm|prompt|eval)(?:\.(?:call|apply|bind)|&lpar;|\.valueof)|,(?:alert|confirm|prompt)\b",
    ),
    Pattern(
        "xss-011",
        XSS,
        "style that runs or loads",
        r"(?:expression|behaviou?r|-moz-binding|-o-link(?:-source)?|@import|@charset|binding) ?(?:\(|:|url|['\"(]) ?.*(?:\(|url|['\"])|url ?\( ?['\"]?(?:javascript|data|vbscript|//|http)|style ?= ?['\"]?[^'\"<>]*(?:expression|url ?\(|javascript|behavior|binding|\\)|x ?: ?e ?x ?p ?r ?e ?s ?s ?i ?o ?n|\bxss ?: ?expression",
    ),
    Pattern(
        "xss-012",
        XSS,
        "an attribute that takes a document or address",
        r"\b(?:srcdoc|formaction|xlink:href|action|background|dynsrc|lowsrc|poster|code|codebase|archive|classid|usemap|longdesc|profile|ping|manifest|xmlns(?::\w+)?|http-equiv|autofocus\b.*on\w+) ?= ?['\"`]?[^'\"`>]*(?:javascript|data:|<|&#|alert|vbscript|feed:|jar:|view-source:|refresh|on\w+ ?=)|\b(?:src|href|content|value|data|to|values|from|by) ?= ?['\"`]?[^'\"`>]*(?:javascript ?:|vbscript ?:|data:text|livescript ?:|jav\w* ?\n?\w*script|&#)|<[a-z][^>]*\b(?:src|href|data|action|background) ?=",
    ),
    Pattern(
        "xss-013",
        XSS,
        "markup that changes how a page is read",
        r"<!--.*(?:#exec|#include|#echo|\[if|<|-->)|<!\[cdata\[|<?!(?:doctype|element|attlist|entity)\b|<\?(?:xml|import)|\]\]>|-->|<!-- ?$|--!>|<\w+:\w+|<//|<!['\"<-]|</[a-z]+[^a-z>\s][^>]*=|<x [^>]*=|<[a-z]+ [^>]*(?:contenteditable|tabindex|accesskey|autofocus|id=x|draggable)",
    ),
    Pattern(
        "xss-014",
        XSS,
        "a string of a script is left",
        r"['\"`] ?[;,)\]}+*/^|&-]+ ?\n?(?:alert|confirm|prompt|eval|document|window|location|self|top|function|var |new |throw|if ?\(|\(|settimeout|this|onerror|fetch|import|print)\b? ?[(.=\[`]|\}[ ;]*(?:alert|confirm|prompt|eval) ?\(|\\['\"] ?; ?(?:alert|\w+\()|['\"]\) ?; ?(?:alert|\w+ ?\()|;(?:alert|confirm|prompt)\b",
    ),
    Pattern("xss-015", XSS, "UTF-7, or ASCII with the eighth bit set", r"\+adw-|\+ad4-|\+aci-"),
    Pattern(
        "xss-016",
        XSS,
        "a tag that closes nothing it opened, with an attribute or a call behind",
        r"^[\s\"'`;)\]}]*>+ ?<|[\"'`] ?/?> ?<?[a-z!/%]?|</(?:title|textarea|style|noscript|script|iframe|xmp|template|select|option|svg|math|form|div|td|table|body|html|a|p|b|i|h\d|pre|comment|noembed|noframes) ?>.*(?:<[a-z!/]|alert|on\w+ ?=|script)|<(?:a|b|i|p|q|s|u|x|br|hr|td|th|tr|div|span|font|table|center|li|ul|h1|pre|em|strong|big|map|area|label|dfn|var|bdo|body|picture|xyz|\w{1,12}) [^<>]*(?:on\w+ ?=|style ?=|src ?=|href ?=|\w+script|expression|alert|id ?=|class ?=|name ?=)",
    ),
    Pattern(
        "xss-017",
        XSS,
        "a message box by name",
        r"(?:^|[^\w])(?:alert|confirm|prompt) ?(?:\(|`|\\x28|\[)[^)`]*(?:xss|document|cookie|domain|\d|['\"`/])|\bxss\b ?['\"]?[)>;]|\bscriptalert\b|>>> ?\w+\(",
    ),
    Pattern(
        "xss-018",
        XSS,
        "characters of a script written as their numbers",
        r"fromcharcode|(?:&#x?[0-9a-f]{2,7};?){4}|(?:\\x[0-9a-f]{2}){3}|(?:\\u00[0-9a-f]{2}){3}|(?:%u00[0-9a-f]{2}){3}|(?:\\[0-7]{2,3}){4}|\bparseint\( ?['\"]?\d+.*\.tostring|\d+\.\.tostring\(|\bunescape\(",
    ),
    # -- paths -----------------------------------------------------------------------------------------------------------
    Pattern(
        "traversal-001",
        TRAVERSAL,
        "a step up",
        r"(?:^|[^.])\.\.(?:;|\.?[./\\;]*)[/\\]|[/\\]\.{2,}(?:[/\\;]|$)|\.{3,}[/\\]+\.{2,}|^\.{2,}[/\\]|(?:[/\\]\.{1,2}){3}|\.\.;",
    ),
    Pattern("traversal-002", TRAVERSAL, "a file of the system", rf"(?:^|[/\\=:?&;,|<>('\"\s.@]){_FILES}"),
    Pattern(
        "traversal-003",
        TRAVERSAL,
        "a hidden file or directory that holds secrets",
        rf"(?:^|[/\\=:?&;('\"\s]){_DOTFILES}(?:[/\\?&;'\")\s]|$|~|\.(?:bak|old|local|prod\w*|dev\w*|example|swp|save)\b)",
    ),
    Pattern("traversal-004", TRAVERSAL, "a file that holds secrets", rf"(?:^|[/\\=:?&;,('\"\s]){_SECRETS}"),
    Pattern(
        "traversal-005",
        TRAVERSAL,
        "a scheme that reads files or runs filters",
        r"\b(?:file|phar|zip|zlib|compress\.\w+|glob|expect|ogg|rar|ssh2\.\w+|netdoc|jar|php):(?://|[/\\]{1,3}\w|file|http)|\bphp://(?:input|filter|output|memory|temp|fd|stdin)|\bphp:filter",
    ),
    Pattern(
        "traversal-006",
        TRAVERSAL,
        "a hidden directory within a path",
        r"(?:^|[\w\])}])?/\.(?:[a-z][\w-]{2,}|a0proj|n8n)(?:/|$|\?)|^\.[a-z][\w-]{2,}/",
        strict=True,
    ),
    Pattern(
        "traversal-007",
        TRAVERSAL,
        "a hidden directory with a file of settings",
        r"/\.[a-z][\w-]{2,}/[\w./-]+\.(?:json|ya?ml|toml|md|env|sh|ini|conf|cfg|xml|key|pem|log|aider|local)\b|(?:^|/)\.\w+ignore\b|/@(?:fs|id)/",
    ),
    Pattern(
        "traversal-008",
        TRAVERSAL,
        "a path that ends in a NUL, a device or an alternate stream",
        r"[/\\.]\w+(?:%00|\\0|\\x00)|::\$(?:data|index_allocation)|[/\\](?:con|nul|aux|prn|com\d|lpt\d)(?:\.|$|[/\\])|\\\\[\w.-]+\\(?:[a-z]\$|admin\$|ipc\$|\w+\\)|\\\\\?\\",
    ),
    # -- commands --------------------------------------------------------------------------------------------------------
    Pattern(
        "command-001",
        COMMAND,
        "a command with its arguments behind a separator",
        rf"(?:[;|&\n`{{]|[$<>]\() ?(?:/?(?:usr/)?(?:local/)?s?bin/)?(?:{_COMMANDS}(?:\.exe)? +(?:--?\w|/\w[\w.-]*(?:/| -|$|[;|&])|[.~][./\w]|\$[\w({{]|\*|\d+ ?(?:$|[;|&'\"`)])|\d+\.\d+\.)|{_STRONG}(?:\.exe)? +(?:[\"'\\|>&<;]|[\w.@:-]+ ?(?:$|[;|&<>`]|[|>/])|[\w.-]+ -\w|\w+\())",
    ),
    Pattern(
        "command-005",
        COMMAND,
        "a command by its name behind a separator",
        rf"(?:[|&\n`]|[$<>]\(|;) ?(?:/?(?:usr/)?(?:local/)?s?bin/)?{_STRONG}(?:\.exe)? ?$|(?:[|&\n`]|;|[$<>]\()(?:/?(?:usr/)?(?:local/)?s?bin/)?{_STRONG}(?:\.exe)? ?[;|&`)#'\"<>]|\|\| ?{_STRONG}\b|&& ?{_STRONG} ?(?:$|[;|&])|^{_STRONG} ?[|;&]{{1,2}} ?{_COMMANDS}\b|(?:[;|\n]|&&)env ?(?:$|[;|&])|&(?:env|set)&",
    ),
    Pattern(
        "command-002",
        COMMAND,
        "a command put in the place of its output",
        rf"\$\( ?(?:/\S*/)?{_STRONG}\b[^)]*\)|`(?: ?/\S*/)?{_STRONG}(?:[ ;|&<>/$][^`]+)?`|<\( ?{_STRONG}\b|\$\(\(\d+ ?[-+*/] ?\d+\)\)|\$\{{(?:path|home|pwd|ifs|shell|oldpwd|@|#|!)[:#%/}}]",
    ),
    Pattern(
        "command-003",
        COMMAND,
        "a shell by its path or as a program",
        r"/bin/(?:\S*/)?(?:ba|z|da|k|c|tc|a|fi)?sh\b|/(?:usr/)?s?bin/(?:id|cat|ls|nc|wget|curl|python\d?|perl|ruby|env|whoami|uname|chmod|rm|cp|mv|find|tail|head|ping|sleep|touch|printenv|passwd|base64|xxd|awk|sed|echo|kill|nohup)\b|\bcmd(?:\.exe)? ?/[ckrv]\b|\bpowershell(?:\.exe)? +-\w|\bbash -[ci]\b|\bsh -c\b|\b(?:nc|ncat|netcat)(?:\.\w+)? (?:-\w+ )*-\w*[elcp]\w*\b|/dev/(?:tcp|udp)/|\b(?:python[\d.]*|perl|ruby|php|node|lua) -[ecr]\b ?['\"\w]|\bcertutil(?:\.exe)? +-|\bwscript\.shell\b|\bwget (?:-\w+ )*https?:|\bcurl (?:-\w+ [\w\"'/.]*)*\"?https?:|\bchmod [+0-7][\w+]* |\brm -[rf]{1,2} |\bmkfifo /",
    ),
    Pattern(
        "command-004",
        COMMAND,
        "a function of a shell's variable, or a shell that is shocked",
        r"\(\) ?\{ ?[:_\w][^}]*[;}]|\$\{?ifs\b|\$\{?(?:path|pwd|home|shell|shlvl)\b:?|\{(?:cat|ls|id|wget|curl|nc|bash|sh|ping|echo|head|tail|more),|[?*\w]*/[?*\w]*[?*]{1,3}[\w?*]*/(?:[\w?*]*[?*][\w?*]*) |\bsystem ?\( ?['\"]|\bpopen ?\(|<<<|2>&1|>/dev/null|\| ?(?:sh|bash|tee|xargs|base64|sudo)\b",
    ),
    Pattern(
        "command-006",
        COMMAND,
        "a command that stands alone",
        r"^(?:/\S*/)?(?:whoami|ifconfig|ipconfig(?: /all)?|uname -\w+|netstat -\w+|ls -\w+|ps -\w+|cat /\S+|id;|dir [a-z]:|net user|type [a-z]:|ping -[cn] \d+|nslookup \S+\.\S+|sleep \d+(?:$|;)|systeminfo|tasklist|printenv|phpinfo\(\))",
        strict=True,
    ),
    # -- templates and expressions -----------------------------------------------------------------------------------------
    Pattern(
        "template-001",
        TEMPLATE,
        "an expression in double braces that computes, reaches or calls",
        r"\{\{[^}]*(?:\d ?[*+/-] ?['\"]?\d|\.|\||\(|\[|config|request|self|class|this|constructor|settings|dump|env|app|%|#|'|\")[^}]*\}\}|\{\{[#/>&^!]?[\w ]+\}\}",
    ),
    Pattern(
        "template-002",
        TEMPLATE,
        "an expression behind a dollar, hash, percent, star or at",
        r"[$#%*@~]\{ ?[^}]*(?:\d ?[*+/-] ?['\"]?\d|\(|t\(|::|@|#|\[|\.\w+\.|class|runtime|jndi|env:|sys:|java|lower:|upper:|param\.)[^}]*\}|\$\{\{|#\{ ?\d|@\( ?\d+ ?[*+]|\$\{(?:\w+:)?\$\{|\[\[\$\{|\[\(\$\{|__\$\{",
    ),
    Pattern(
        "template-003",
        TEMPLATE,
        "a statement of a template",
        r"\{%-? ?(?:for|if|set|import|include|block|extends|raw|macro|debug|load|with|print|from|call|filter)\b.*%\}|<#(?:assign|if|list|include|import|macro|function|setting)\b|#set ?\( ?\$|#(?:foreach|include|parse|evaluate|define) ?\(|<%[=@#!-]? ?.+%>|\{(?:php|literal|\$smarty|if |system|include|exec|self::)[^}]*\}|<jsp:|<cfexecute|freemarker\.template|\.getclass\( ?\)|\bt\( ?java\.|__(?:class|globals|init|mro|subclasses|builtins|base|bases|import|dict|getitem)__|\bjinja|\bcycler\.|lipsum\b|range\.constructor|\{\{\{",
    ),
    # -- LDAP ----------------------------------------------------------------------------------------------------------------
    Pattern(
        "ldap-001",
        LDAP,
        "a filter is closed and another begun",
        r"\*? ?\) ?\( ?(?:[|&!]|[\w;.-]+ ?(?:[~<>]?=|:=|:\w))|\( ?[|&!] ?\( ?[\w;.-]+ ?[~<>]?=|\)\) ?\( ?[|&!(]|[|&]\( ?[\w-]+=\*|\*\)\)|\)\( ?[|&!]\)?|\* ?\)\( ?\w|^\*?\)\(|\(\w+=\*\)|\)\(cn=|\*\|$|\w\)\(&\)",
    ),
    Pattern(
        "ldap-002",
        LDAP,
        "a filter on its own",
        r"\( ?(?:objectclass|objectcategory|uid|cn|sn|mail|userpassword|samaccountname|memberof|gidnumber|ou|givenname|homedirectory) ?[~<>]?= ?[^()]*\)|\(&\(|\(\|\(|\(!\(|\b(?:objectclass|userpassword|samaccountname)=\*|^\*\(\|\(",
    ),
    # -- code of the server --------------------------------------------------------------------------------------------------
    Pattern(
        "code-001",
        CODE,
        "PHP",
        r"<\?(?:php|=|\s)|\b(?:phpinfo|passthru|shell_exec|proc_open|pcntl_exec|assert|create_function|call_user_func(?:_array)?|base64_decode|gzinflate|str_rot13|file_(?:get|put)_contents|fopen|readfile|include(?:_once)?|require_once|eval|system|exec|popen|preg_replace|ini_set|error_log|highlight_file|show_source|unserialize|chr) ?\( ?(?:['\"$\d/]|\)|base64|get|str|\w+\()|\$_(?:get|post|request|cookie|server|files|session|env)\b ?\[|\$globals\b|\ballow_url_(?:include|fopen)\b|\bauto_prepend_file\b",
    ),
    Pattern(
        "code-002",
        CODE,
        "an object that is made when it is read",
        r"\b[oc]:\d+:['\"][\w\\]+['\"]:\d+:\{|\ba:\d+:\{[is]:\d|ro0ab[xq][\w+/=]|aced0005|!!python/|!!(?:java|ruby|javax|com)[./\w]|!ruby/|\bcos\nsystem|c__builtin__|__reduce__|\bgasv[\w+/]{4}|_\$\$nd_func\$\$_|\$type['\"] ?: ?['\"]system\.",
    ),
    Pattern(
        "code-003",
        CODE,
        "Java and its expressions",
        r"\bjava\.(?:lang|io|net|util|nio|beans|sql)\.|\bjavax\.|\bgetruntime\b|\bruntime\(\)\.exec|\bprocessbuilder\b|\bclass\.module\.classloader|\bclassloader\b|\bgetdeclared|\bforname ?\(|\$\{(?:jndi|env|sys|java|lower|upper|date|ctx|main|bundle|docker|k8s|web|spring|log4j|::-)[:}]|\$\{\w*:?-?[a-z]?\}?\w*\$\{|jndi ?: ?(?:ldaps?|rmi|dns|iiop|nis|corba|http)|%\{ ?\(?#|#_memberaccess|@ognl\.|#context\b|#application\b|ognl\.|redirect:\$|action:\$|scriptenginemanager|xwork\.",
    ),
    Pattern(
        "code-004",
        CODE,
        "JavaScript on a server, Python, Ruby",
        r"\brequire ?\( ?['\"](?:child_process|fs|os|net|vm|http|https|path|util)['\"]|\bprocess\.(?:mainmodule|binding|env|exit|kill|dlopen|cwd)\b|\bchild_process\b|__proto__|\bconstructor ?[.\[]['\"]? ?prototype\b|\bprototype\[|\bglobal\.process|\bthis\.constructor\b|\bfunction ?\( ?\) ?\{.*\}\(\)|__import__ ?\(|\bos\.(?:system|popen|exec\w+|spawn\w+|listdir|environ)\b|\bsubprocess\.(?:popen|call|run|check_\w+|getoutput)\b|\bexec ?\( ?compile|\bio\.popen|\bkernel\.(?:exec|system|open)|\bfile\.open ?\(|\bbuiltins\b|\bchild\.exec|\bexecsync ?\(|\bvm\.runin",
    ),
    # -- XML and addresses ------------------------------------------------------------------------------------------------------
    Pattern("xxe-001", XXE, "an entity is declared", r"<!entity\b|%\w+;\]>|&\w+;\]>"),
    Pattern(
        "xxe-002",
        XXE,
        "a document type of the sender's own",
        r"<!doctype[^>]*(?:\[|\bsystem\b|\bpublic\b[^>]*\")",
    ),
    Pattern(
        "xxe-003",
        XXE,
        "an identifier that is loaded, or a document that includes another",
        r"\bsystem ?['\"](?:file|https?|ftp|php|expect|gopher|jar|netdoc)|<\?xml-stylesheet|<xi:include|\bxmlns:xi=|<xsl:",
    ),
    Pattern(
        "ssrf-001",
        SSRF,
        "an address of the machine or of its cloud",
        r"\b(?:https?|ftp|gopher|dict|ldaps?|tftp|sftp|rmi|ws|wss):/{0,3}(?:\w+(?::\w+)?@)?(?:169\.254\.169\.254|\[?fd00:ec2|metadata\.google|metadata\.(?:internal|azure)|100\.100\.100\.200|127(?:\.\d+){1,3}|127\.1\b|localhost\b|0(?:\.0){0,3}(?:[:/]|$)|\[::1?\]|\[::ffff:|2130706433|0x7f|017700000001|192\.0\.0\.192|instance-data)|\b(?:gopher|dict)://|\b169\.254\.169\.254\b|\bmetadata\.google\.internal\b|/latest/meta-data|/computemetadata/v1",
    ),
    # -- logs and headers ---------------------------------------------------------------------------------------------------------
    Pattern(
        "log-001",
        LOG,
        "a header or an answer of HTTP behind a line's end",
        r"\n ?(?:set-cookie|location|content-(?:type|length|disposition|security-policy)|http/\d|x-[\w-]+|access-control-[\w-]+|transfer-encoding|refresh|status|host|cookie|referer|link|bcc|cc|to|from|subject|mime-version) ?:? ?[^\n]*[:/;=@]|\nhttp/\d\.\d \d{3}|\n(?:get|post|put|delete|head|options) /\S* http/",
    ),
    Pattern(
        "log-002",
        LOG,
        "a line of a log behind a line's end, or control of a terminal",
        r"\n ?[\[(<]?(?:\d{4}[-/]\d\d[-/]\d\d|\d\d?[/:]\w{2,3}[/:]\d{2,4}|\w{3} +\d{1,2} \d\d:\d\d)|\n ?[\[(<]?(?:info|error|err|warn(?:ing)?|debug|fatal|critical|crit|notice|trace|audit|alert|emerg)\b ?[\])>:|-]|\n ?(?:level|severity|msg|message|user|time|ts|event) ?= ?['\"\w]|\n ?(?:user|login|access|authentication|password|admin)\b.*\b(?:logged|succeeded|successful|granted|accepted|failed|granted|authenticated)|\x1b\[[0-9;?]*[a-z]|\x1b[\]\\pc()]|\x9b\d",
    ),
)
"""Every pattern that is Usher's own."""
