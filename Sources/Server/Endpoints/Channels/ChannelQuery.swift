internal import MartletHTTP
internal import MartletMessages
internal import MartletPrimitives
internal import MartletWeb

/// The channels of one HTTP request and where each is to be read from.
///
/// With one channel a cursor is `EPOCH:OFFSET`; with several it is `NAME=EPOCH:OFFSET&…`, percent-encoded as in a query.
internal struct ChannelQuery {
  internal struct Entry {
    let channel: ChannelName
    let start: SubscriptionStart
    /// What the subscriber says of itself, JSON; empty is none.
    var info = Slice()
  }

  internal let entries: [Entry]
  /// The request named its channel in the path.
  internal let isSingle: Bool
  /// It wants to hear of comings and goings.
  internal let watchesPresence: Bool

  internal static let maximumChannels = 64

  /// - Parameters:
  ///   - name: from the path; `nil` reads `?channel=…` (several).
  ///   - cursor: from wherever the transport carries it.
  internal init(_ exchange: HTTPExchange, name: String?, cursor: String?) throws(ParseError) {
    let query = exchange.request.target.query
    isSingle = name != nil
    watchesPresence = query.first("presence") == "true"
    var names: [ChannelName] = []
    for text in name.map({ [$0] }) ?? query.all("channel") {
      let name = try ChannelName(text)
      if !names.contains(name) { names.append(name) }
    }
    guard !names.isEmpty else { throw .invalid("expected ?channel=NAME, once or several times", at: 0) }
    guard names.count <= Self.maximumChannels else { throw .limit("channels of one request", maximum: Self.maximumChannels) }
    let cursors = try Self.cursors(cursor, single: isSingle ? names.first : nil)
    let otherwise = try Self.start(query.first("last"))
    let infos = try Self.infos(query.all("info"), of: names.count)
    entries = zip(names, infos).map { name, info in
      Entry(channel: name, start: cursors[name].map { .after($0) } ?? otherwise, info: info)
    }
  }

  /// One for all channels, or one for each.
  private static func infos(_ texts: [String], of count: Int) throws(ParseError) -> [Slice] {
    var infos: [Slice] = []
    for text in texts.prefix(count) { infos.append(try ChannelPresence.info(text)) }
    if texts.count < 2 { return Array(repeating: infos.first ?? Slice(), count: count) }
    guard texts.count == count else { throw .invalid("info is given once, or once for each channel", at: 0) }
    return infos
  }

  private static func start(_ last: String?) throws(ParseError) -> SubscriptionStart {
    guard let last else { return .now }
    guard let count = Int(last), count >= 0 else { throw .invalid("last is a number of messages", at: 0) }
    return .last(count)
  }

  private static func cursors(_ text: String?, single: ChannelName?) throws(ParseError) -> [ChannelName: Cursor] {
    guard let text, !text.isEmpty else { return [:] }
    if let single { return [single: try Cursor(text)] }
    return try self.cursors(text)
  }

  /// Of several channels, as `cursor` wrote them.
  internal static func cursors(_ text: String) throws(ParseError) -> [ChannelName: Cursor] {
    var cursors: [ChannelName: Cursor] = [:]
    for item in QueryItems(parsing: text).items { cursors[try ChannelName(item.name)] = try Cursor(item.value) }
    return cursors
  }

  /// The places of several channels as one text.
  internal static func cursor(_ places: [(ChannelName, Cursor)]) -> String {
    places.map { "\(PercentCoding.encodeQuery($0.text))=\($1)" }.joined(separator: "&")
  }
}

extension MessageHub {
  /// Subscribes to one channel after the other. Unless all of it works and is still wanted in the end, none stays.
  internal func subscribe(
    owner: any SubscriptionOwner, to entries: ArraySlice<ChannelQuery.Entry>, while isWanted: @escaping () -> Bool,
    made: [Subscription] = [], then: @escaping Answer<[Subscription]>
  ) {
    guard let entry = entries.first else { return then(.success(made)) }
    subscribe(owner: owner, to: entry.channel, entry.start) { [self, weak owner] result in
      let all = made + ((try? result.get()).map { [$0] } ?? [])
      guard let owner, isWanted(), case .success = result else {
        for subscription in all { remove(subscription) }
        if case .failure(let error) = result, isWanted() { then(.failure(error)) }
        return
      }
      subscribe(owner: owner, to: entries.dropFirst(), while: isWanted, made: all, then: then)
    }
  }
}
