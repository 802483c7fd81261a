internal import MartletPrimitives

/// What hears of a subscription's messages: a connection that is pulled, or a request that waits.
package protocol SubscriptionOwner: AnyObject {
  /// There is something behind the subscription's cursor. Comes once until `drained`.
  func subscriptionIsReady(_ subscription: Subscription)
  /// The channel dropped what the subscription had not read yet.
  func subscriptionFellBehind(_ subscription: Subscription)
  /// Somebody else came or left; only where it watches.
  func subscription(_ subscription: Subscription, didSee event: PresenceEvent)
}

extension SubscriptionOwner {
  package func subscription(_ subscription: Subscription, didSee event: PresenceEvent) {}
}

/// One subscriber of one channel on one worker: a cursor into the channel's log.
package final class Subscription {
  package let log: ChannelLog
  package unowned let owner: any SubscriptionOwner
  /// The offset of the next message to deliver.
  package private(set) var next: Int
  /// Messages behind the cursor it began with were gone.
  package let lostHistory: Bool
  /// Listed in the channel's presence under this id.
  package internal(set) var presenceID: String?
  /// Hears of comings and goings.
  package var watchesPresence = false
  /// Where the log lists it.
  internal var place: Int?
  /// In its reader's list of those with something to send.
  internal var isReady = false
  internal var nextReady: Subscription?
  internal let form: Int

  internal init(_ log: ChannelLog, owner: any SubscriptionOwner, format: MessageFormat?, start: Resumption) {
    self.log = log
    self.owner = owner
    next = start.next
    lostHistory = start.lost
    form = format.map { log.formIndex(of: $0) } ?? -1
  }

  package var channel: ChannelName { log.name }
  /// Up to where everything was delivered.
  package var cursor: Cursor { Cursor(epoch: log.epoch, offset: next - 1) }
  package var hasMore: Bool { next <= log.head }
  /// The channel dropped messages that were not read.
  package var isBehind: Bool { next < log.base }

  /// Asks for `subscriptionIsReady` when there is something; later messages ask by themselves.
  internal func wake() {
    guard !isReady, place != nil, hasMore else { return }
    isReady = true
    owner.subscriptionIsReady(self)
  }

  /// The owner has delivered all there was.
  internal func drained() { isReady = false }

  internal func advance(by count: Int = 1) {
    next += count
    log.didDeliver(count)
  }

  /// Takes up to `limit` messages, and moves behind them.
  /// Empty when there is none, or when the next one is gone (`isBehind`).
  package func take(limit: Int) -> [Message] {
    guard !isBehind else { return [] }
    let messages = log.messages(after: next - 1, limit: limit)
    if let last = messages.last {
      next = last.offset + 1
      log.didDeliver(messages.count)
    }
    isReady = false
    return messages
  }

  /// The replica's numbering began anew, or went on beyond the cursor.
  internal func logWasReset(from epoch: String) {
    if epoch != log.epoch || next < log.base { owner.subscriptionFellBehind(self) } else { wake() }
  }
}
