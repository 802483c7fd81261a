package import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
package import MartletMedia
internal import MartletPrimitives

/// One worker's answer to "who may": its copy of the policy, the webhook, and the sessions that the webhooks hear of.
package final class AccessAuthority: AccessControl {
  package var policy: AccessPolicy
  internal var webhook: AuthConfiguration.Webhook?
  private let context: LoopContext
  private let sender: any WebhookSender
  private let notifier: WebhookNotifier
  /// Decisions by what made them, for the metrics.
  package private(set) var refused = 0
  private var waiting = 0

  /// Questions that wait for the webhook at once; beyond, the answer is no.
  private static let maximumWaiting = 1000

  internal init(
    _ policy: AccessPolicy, webhook: AuthConfiguration.Webhook?, sender: any WebhookSender, notifier: WebhookNotifier,
    in context: LoopContext
  ) {
    self.policy = policy
    self.webhook = webhook
    self.sender = sender
    self.notifier = notifier
    self.context = context
  }

  package func decide(_ request: AccessRequest, then: @escaping (AccessDecision) -> Void) {
    let answer = { [weak self] (decision: AccessDecision) in
      if case .denied = decision, !request.isProbe { self?.refused += 1 }
      then(decision)
    }
    switch policy.decide(request, now: context.wallTime) {
    case .decided(let decision): answer(decision)
    case .ask: ask(request, then: answer)
    }
  }

  private func ask(_ request: AccessRequest, then: @escaping (AccessDecision) -> Void) {
    guard let webhook, waiting < Self.maximumWaiting else {
      return then(.denied("the authorisation server is busy (auth.webhook)", isFinal: true))
    }
    waiting += 1
    let body = AccessQuestion.body(request)
    let message = WebhookRequest(
      url: webhook.url, body: body, fields: WebhookSignature.fields(body, secret: webhook.secret, now: context.wallTime),
      timeout: webhook.timeout)
    sender.send(message) { [weak self] outcome in
      self?.waiting -= 1
      let decision = AccessQuestion.decision(outcome)
      if case .failed(let reason) = outcome { self?.context.log(.error, "auth", "the authorisation server did not answer: \(reason)") }
      then(decision)
    }
  }

  package func sessionDidBegin(_ client: ClientInfo) { notifier.notify(client.role == .publisher ? .publish : .play, client) }
  package func sessionDidEnd(_ client: ClientInfo) { notifier.notify(client.role == .publisher ? .unpublish : .stop, client) }
}
