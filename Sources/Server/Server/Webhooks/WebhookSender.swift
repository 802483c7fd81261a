package import MartletPrimitives

/// A POST of JSON to somebody's server.
package struct WebhookRequest: Sendable {
  package var url: String
  package var body: [UInt8]
  package var fields: [(name: String, value: String)]
  package var timeout: TimeSpan
  /// False for targets that did not come from the configuration file: private addresses are then refused.
  package var allowsPrivateTargets: Bool

  package init(
    url: String, body: [UInt8], fields: [(name: String, value: String)], timeout: TimeSpan, allowsPrivateTargets: Bool = true
  ) {
    self.allowsPrivateTargets = allowsPrivateTargets
    self.url = url
    self.body = body
    self.fields = fields
    self.timeout = timeout
  }
}

package enum WebhookOutcome: Equatable, Sendable {
  case answered(status: Int, body: [UInt8])
  case failed(String)
}

/// Sends webhooks from one worker. `then` is called once, never from inside `send`.
package protocol WebhookSender: AnyObject {
  func send(_ request: WebhookRequest, then: @escaping (WebhookOutcome) -> Void)
}
