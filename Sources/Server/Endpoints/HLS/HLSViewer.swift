package import MartletMedia
internal import MartletPrimitives

/// Who watches a stream by HLS, told apart without a cookie: by token, else by address and user agent.
package struct HLSViewerKey: Hashable, Sendable {
  package let path: StreamPath
  private let identity: String

  internal init(_ request: AccessRequest, path: StreamPath) {
    self.path = path
    identity = request.token ?? request.key ?? "\(request.remote.ip) \(request.userAgent ?? "")"
  }
}

/// One or several requests of a viewer, as the stream's home hears of them.
internal struct HLSVisit: Sendable {
  let key: HLSViewerKey
  let remote: SocketAddress
  let user: String?
  let tokenID: String?
  let userAgent: String?
  /// Sent since the last visit.
  var bytes: Int
}

/// A viewer's session on the stream's home worker: begins with a request and ends when none comes for a while.
internal final class HLSViewer: DetachedViewer {
  internal let client: ClientInfo
  internal let key: HLSViewerKey
  internal var lastVisit: Instant
  internal private(set) var bytesSent = 0
  /// Answers a kick.
  internal var onKick: ((HLSViewer, KickReason) -> Void)?

  internal init(_ client: ClientInfo, key: HLSViewerKey, now: Instant) {
    self.client = client
    self.key = key
    lastVisit = now
  }

  internal func receive(_ visit: HLSVisit, now: Instant) {
    lastVisit = now
    bytesSent += visit.bytes
  }

  internal func kick(_ reason: KickReason) { onKick?(self, reason) }
}
