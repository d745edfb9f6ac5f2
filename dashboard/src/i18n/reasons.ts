/**
 * The catalogue of reasons (linking/protocol/src/reason): sentence and what to do, per machine
 * word. English comes from the server, which knows the details; these texts serve 中文, and
 * English where the server sent the word alone.
 */
import type { Link, Reason } from "../api/types";
import { pasteOf } from "../model/counterpart";
import { fill, lang, type Lang } from "./index";

type Entry = { en: readonly [string, string?]; zh: readonly [string, string?] };

export const REASONS: Record<string, Entry> = {
  name_not_found: {
    en: ["The host name of the remote cluster cannot be resolved.", "Check the host in the server address and the name service of this node."],
    zh: ["无法解析远程集群的主机名。", "请检查服务器地址 {server} 中的主机名，以及本节点的域名解析。"],
  },
  connection_refused: {
    en: ["The remote host refuses TCP connections on this port.", "Check that an MQTT listener runs at {server}."],
    zh: ["远程主机拒绝该端口的 TCP 连接。", "请确认 {remote} 在 {server} 上运行了 MQTT 监听器，且端口正确。"],
  },
  connect_timeout: {
    en: ["The remote did not answer the connection attempt in time.", "Check routes and firewalls between this node and {server}."],
    zh: ["远程集群未及时响应连接请求。", "请检查本节点到 {server} 之间的路由和防火墙。"],
  },
  unreachable: {
    en: ["There is no network path to the remote host.", "Check routes and firewalls between this node and {server}."],
    zh: ["没有到远程主机的网络路径。", "请检查本节点到 {server} 之间的路由和防火墙。"],
  },
  connection_lost: { en: ["The connection to the remote broke."], zh: ["与远程集群的连接中断，正在自动重连。"] },
  keep_alive_timeout: { en: ["The remote stopped answering pings."], zh: ["远程集群不再响应心跳，正在自动重连。"] },
  tls_untrusted: {
    en: ["The certificate of the remote is not signed by a trusted authority.", "Set the CA certificate that signed the remote's certificate."],
    zh: ["远程集群的证书不是由受信任的机构签发的。", "请在“CA 证书”中填写签发远程证书的机构证书。"],
  },
  tls_name_mismatch: {
    en: ["The certificate of the remote is for another host name.", "Set SNI to a name in the remote's certificate."],
    zh: ["远程集群的证书属于另一个主机名。", "请把 SNI 设为证书中的名称，或在服务器地址中使用该名称。"],
  },
  tls_expired: {
    en: ["The certificate of the remote is expired or not yet valid.", "Renew the remote's certificate, and compare the clocks of both sides."],
    zh: ["远程集群的证书已过期或尚未生效。", "请更新远程证书，并核对两侧时钟。"],
  },
  tls_client_certificate: {
    en: ["The remote asks for a client certificate, or refuses ours.", "Set a certificate and key that the remote trusts."],
    zh: ["远程集群要求客户端证书，或拒绝了我们的证书。", "请设置远程集群信任的 TLS 证书和密钥。"],
  },
  tls_failed: {
    en: ["The TLS handshake failed.", "Compare TLS versions and ciphers of both sides."],
    zh: ["TLS 握手失败。", "请核对两侧的 TLS 版本和加密套件。"],
  },
  not_tls: {
    en: ["The remote port does not speak TLS.", "Use the TLS port of the remote, or switch TLS off."],
    zh: ["远程端口不支持 TLS。", "请使用远程集群的 TLS 端口，或关闭 TLS。"],
  },
  local_tls_files: {
    en: ["A certificate or key file of the link cannot be read.", "Check that the files exist on every node and are readable."],
    zh: ["无法读取该连接的证书或密钥文件。", "请确认这些文件在每个节点上都存在且可读。"],
  },
  secret_unreadable: {
    en: ["The password file of the link cannot be read.", "Check that the file exists on every node and is readable."],
    zh: ["无法读取该连接的密码文件。", "请确认 file:// 指向的文件在每个节点上都存在且可读。"],
  },
  login_refused: {
    en: ["The remote refuses the user name or password.", "Check user name and password of the link."],
    zh: ["远程集群拒绝了用户名或密码。", "请检查用户名和密码；远程集群须允许以 {clientid} 开头的客户端 ID 登录。"],
  },
  client_id_refused: {
    en: ["The remote refuses the client id of the link.", "Choose another client id prefix."],
    zh: ["远程集群拒绝了该连接的客户端 ID。", "请更换客户端 ID 前缀。"],
  },
  banned: {
    en: ["The remote has banned this client or address.", "Remove the ban at the remote."],
    zh: ["远程集群已封禁该客户端或地址。", "请在远程集群解除封禁。"],
  },
  peer_not_mqtt5: {
    en: ["The remote port does not speak MQTT 5.", "Use a listener that speaks MQTT 5."],
    zh: ["远程端口不支持 MQTT 5。", "请把服务器地址指向支持 MQTT 5 的监听器。"],
  },
  server_busy: { en: ["The remote is busy or shutting down."], zh: ["远程集群繁忙或正在关闭，正在自动重试。"] },
  connect_refused: {
    en: ["The remote refuses the MQTT connection.", "See the log of the remote."],
    zh: ["远程集群拒绝了 MQTT 连接。", "请查看详情和远程集群的日志。"],
  },
  acl_denied: {
    en: ["The remote's access rules forbid the link's control topics.", "Add an allow rule to the remote's acl.conf:"],
    zh: ["远程集群的访问规则禁止了集群连接的控制主题。", "请把这一行加到远程集群的 acl.conf 中，放在所有拒绝规则之前："],
  },
  resp_subscription_denied: {
    en: ["The remote refuses the subscription to the answer topic.", "Add an allow rule to the remote's acl.conf:"],
    zh: ["远程集群拒绝订阅应答主题。", "请把这一行加到远程集群的 acl.conf 中，放在所有拒绝规则之前："],
  },
  unknown_cluster: {
    en: ["The remote has no link for the name of this cluster.", "Create a link named {local} at the remote:"],
    zh: ["远程集群没有以本集群名称命名的连接。", "请在 {remote} 上创建名为 {local} 的连接，例如使用以下内容："],
  },
  bad_remote_cluster_link_name: {
    en: ["The remote cluster has another name than this link.", "Name this link exactly like the remote's cluster.name."],
    zh: ["远程集群的名称与该连接的名称不同。", "连接名称必须与远程集群的 cluster.name 完全一致；或把服务器地址改为正确的集群。"],
  },
  cluster_link_disabled: {
    en: ["The remote has a link for this cluster, but it is disabled.", "Enable the link {local} at the remote."],
    zh: ["远程集群有指向本集群的连接，但已停用。", "请在 {remote} 上启用连接 {local}。"],
  },
  handshake_refused: {
    en: ["The remote refuses the link handshake.", "See the log of the remote."],
    zh: ["远程集群拒绝了连接握手。", "请查看详情和远程集群的日志。"],
  },
  handshake_timeout: {
    en: ["The remote did not answer the link handshake within 5 seconds."],
    zh: ["远程集群未在 5 秒内响应连接握手，正在自动重试。"],
  },
  protocol_error: {
    en: ["The remote sent something that is not the link protocol.", "Check that the remote is a compatible version."],
    zh: ["远程集群发送了不符合连接协议的数据。", "请确认远程集群版本兼容，并查看两侧日志。"],
  },
  remote_protocol_error: {
    en: ["The remote closed the connection for a link protocol error.", "Check that the remote is a compatible version."],
    zh: ["远程集群因连接协议错误关闭了连接。", "请确认远程集群版本兼容，并查看两侧日志。"],
  },
  batch_refused: {
    en: ["The remote refuses a batch of routes.", "See the log of the remote."],
    zh: ["远程集群拒绝了一批路由。", "请查看详情和远程集群的日志。"],
  },
  batch_timeout: {
    en: ["The remote did not acknowledge a batch of routes in time."],
    zh: ["远程集群未及时确认一批路由，正在自动重试。"],
  },
  clientid_conflict: {
    en: ["Another client uses the client id of this link at the remote.", "Give each link its own client id prefix."],
    zh: ["远程集群上有其他客户端使用了相同的客户端 ID。", "两个集群使用了同一前缀 {clientid}：请为每个连接设置各自的客户端 ID 前缀。"],
  },
  quota_exceeded: {
    en: ["The remote's quota for this link is used up.", "Raise the quota at the remote, or send less."],
    zh: ["远程集群给该连接的配额已用完。", "请提高远程集群的配额，或减少发送量。"],
  },
  packet_too_large: {
    en: ["A message is larger than the remote accepts.", "Raise the packet limit of the remote's listener."],
    zh: ["有消息超过了远程集群接受的大小。", "请提高远程监听器的报文上限，或发布更小的消息。"],
  },
  unacked_too_long: {
    en: ["The remote left a forwarded message unacknowledged for too long."],
    zh: ["远程集群长时间未确认转发的消息，正在自动重连。"],
  },
  buffer_full: {
    en: ["The buffer of the link is full.", "Raise the buffer limit, or find out why the remote takes so long."],
    zh: ["该连接的缓存已满。", "请提高缓存上限，或查明远程集群处理缓慢的原因。"],
  },
  buffer_unusable: {
    en: ["The buffer of the link cannot be opened on this node; QoS 1 and 2 messages for it are refused.", "See the detail: mend or move away the folder that it names; the link tries again every second."],
    zh: ["本节点无法打开该连接的缓存，发往该连接的 QoS 1 和 2 消息会被拒绝。", "请根据详情修复或移走其中提到的目录，连接每秒会重试一次。"],
  },
  clock_skew: {
    en: ["The clocks of this node and of the remote differ.", "Run a time service on the nodes of both clusters: message expiry across the link counts by both clocks."],
    zh: ["本节点与远程集群的时钟不一致。", "请在两个集群的节点上启用时间同步服务：跨集群消息的过期时间按双方时钟计算。"],
  },
  session_ended: { en: ["The remote ended the connection."], zh: ["远程集群结束了连接，正在自动重连。"] },
  peer_not_bound: {
    en: ["The remote's identity is not fixed: the first client that spoke for it holds its name.", "Add an inbound rule to the link:"],
    zh: ["远程集群的身份未固定：最先以其名义发言的客户端占用了该名称。", "请为该连接添加入站规则："],
  },
  identity_mismatch: {
    en: ["A client without the right to it speaks for the remote's name.", "Find out who this client is. If it is right, change the inbound rule."],
    zh: ["有无权的客户端以远程集群的名义发言。", "请查明该客户端身份；若属正常，请修改入站规则。"],
  },
  tls_verify_none: {
    en: ["The certificate of the remote is not verified.", "Switch TLS verify on and set the CA certificate."],
    zh: ["未验证远程集群的证书。", "请开启“验证服务器证书”并填写 CA 证书。"],
  },
  sync_overflow: {
    en: ["Too many route changes piled up while the remote was away; starting over."],
    zh: ["远程集群离线期间路由变更积压过多，正在重新同步。"],
  },
  no_quorum: {
    en: ["This cluster has no quorum and cannot store what the remote sends.", "Bring back enough nodes of this cluster."],
    zh: ["本集群没有多数派，无法保存远程集群发来的内容。", "请恢复足够多的节点。"],
  },
  node_unreachable: {
    en: ["This node did not answer.", "Check this node and the cluster port."],
    zh: ["该节点没有应答。", "请检查该节点及其集群端口。"],
  },
  disabled: { en: ["The link is disabled here.", "Enable the link."], zh: ["该连接在本集群已停用。", "请启用该连接。"] },
  paused: {
    en: ["The link is paused here: messages are buffered, not sent.", "Resume the link."],
    zh: ["该连接在本集群已暂停：消息被缓存，不发送。", "请恢复该连接。"],
  },
  starting: { en: ["The link is starting."], zh: ["该连接正在启动。"] },
};

/** What the topic tester's answer says about each link, word by word. */
export const BECAUSE: Record<string, string> = {
  "of the topics that begin with $ only $SYS/ can leave the cluster": "以 $ 开头的主题中，只有 $SYS/ 可以离开本集群。",
  "the link is disabled here": "该连接在本集群已停用。",
  "the remote has not told us any route yet": "远程集群尚未告知任何路由。",
  "no filter that the remote asked for matches": "远程集群请求的主题过滤器均不匹配。",
  "the remote asked for it; the link is paused, so it is kept": "远程集群需要此主题；连接已暂停，消息会被缓存。",
  "the remote asked for it and is silent now, so it is kept": "远程集群需要此主题但目前没有响应，消息会被缓存。",
  "the remote asked for it": "远程集群需要此主题。",
};

export function because(text: string): string {
  return lang.value === "zh" ? (BECAUSE[text] ?? text) : text;
}

export interface Told {
  sentence: string;
  advice: string;
  paste: string;
}

/** What to show for a reason, in the user's language. */
export function tell(reason: Reason, link?: Pick<Link, "name" | "server" | "clientid">, local = ""): Told {
  return tellIn(lang.value, reason, link, local);
}

export function tellIn(
  language: Lang,
  reason: Reason,
  link?: Pick<Link, "name" | "server" | "clientid">,
  local = "",
): Told {
  const { text, paste } = pasteOf(reason.advice);
  const entry = REASONS[reason.code];
  const own = entry?.[language];
  const params = {
    server: link?.server ?? "",
    remote: link?.name ?? "",
    clientid: link?.clientid ?? "",
    local,
  };
  if (!own || (language === "en" && reason.message)) {
    const advice = text || (own?.[1] && !reason.advice ? fill(own[1], params) : "");
    return { sentence: reason.message || own?.[0] || reason.code, advice, paste };
  }
  const detail = entry && reason.message.startsWith(entry.en[0]) ? reason.message.slice(entry.en[0].length).trim() : "";
  return {
    sentence: detail ? `${own[0]}${detail}` : own[0],
    advice: own[1] ? fill(own[1], params) : "",
    paste,
  };
}
