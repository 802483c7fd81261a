internal import MartletHTTP
package import MartletIO
internal import MartletPrimitives
internal import MartletWeb

/// Sends webhooks through this worker's HTTP client, over connections that are kept for the next one.
package final class HTTPWebhookSender: WebhookSender {
  private static let answerLimit = 64 * 1024

  private let context: LoopContext
  private let client: HTTPClient
  /// For targets that did not come from the configuration file.
  private let guarded: HTTPClient

  package init(in context: LoopContext) {
    self.context = context
    client = HTTPClient(in: context)
    var configuration = HTTPClient.Configuration()
    configuration.allows = { !$0.isSpecialPurpose }
    guarded = HTTPClient(configuration, in: context)
  }

  package func send(_ request: WebhookRequest, then: @escaping (WebhookOutcome) -> Void) {
    let sender = request.allowsPrivateTargets ? client : guarded
    guard let url = URLReference(request.url) else { return context.atEndOfTurn { then(.failed("its URL cannot be read")) } }
    var post = HTTPClientRequest(.post, url, body: .bytes(Slice(request.body)))
    for (name, value) in request.fields { post.fields.append(name, value) }
    post.timeouts.connect = request.timeout
    post.timeouts.firstByte = request.timeout
    post.timeouts.total = request.timeout
    // An answer from elsewhere would be that of somebody whom the configuration does not name.
    post.redirects = 0
    let answer = Answer(then)
    answer.exchange = sender.send(post) { event in
      switch event {
      case .head(let response, _): answer.status = response.status.code
      case .body(let part): answer.receive(part, limit: Self.answerLimit)
      case .end: answer.finish(.answered(status: answer.status, body: answer.body))
      case .failure(let error): answer.finish(.failed(error.reason))
      }
    }
  }

  /// What comes back for one webhook.
  private final class Answer {
    var exchange: HTTPClientExchange?
    var status = 0
    private(set) var body: [UInt8] = []
    private var then: ((WebhookOutcome) -> Void)?

    init(_ then: @escaping (WebhookOutcome) -> Void) { self.then = then }

    func receive(_ part: Slice, limit: Int) {
      guard body.count + part.count <= limit else {
        exchange?.cancel()
        return finish(.failed("its answer is too long"))
      }
      part.withUnsafeBytes { body.append(contentsOf: $0) }
    }

    func finish(_ outcome: WebhookOutcome) {
      exchange = nil
      Swift.exchange(&then, with: nil)?(outcome)
    }
  }
}
