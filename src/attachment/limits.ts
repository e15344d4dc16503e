/** How much room the kernel and the programs beside it have for the texts that say whose an object is. */

/** <linux/if.h>, IFALIASZ less the final NUL: bytes of an interface's alias. */
export const maxAliasBytes = 255

/** NFTNL_UDATA_COMMENT_MAXLEN (libnftnl/udata.h): the longest comment of a rule or element in bytes of UTF-8. */
export const maxNftCommentBytes = 128

/** XT_MAX_COMMENT_LEN (<linux/netfilter/xt_comment.h>) less the final NUL: bytes of a comment of iptables. */
export const maxIptablesCommentBytes = 255

/** XT_EXTENSION_MAXNAMELEN (<linux/netfilter/x_tables.h>) less the final NUL: bytes of a chain's name in iptables. */
export const maxIptablesChainBytes = 28
