package import MartletMessages
internal import Synchronization

/// How many rooms there are, and participants by address, over all workers.
package final class RoomCensus: Sendable {
  package let maximum: Int
  package let addresses: UserCensus
  private let rooms = Atomic<Int>(0)

  package init(_ configuration: RoomConfiguration) {
    maximum = configuration.maximum
    addresses = UserCensus(limit: configuration.perAddress)
  }

  /// - Returns: false when there are as many as there may be.
  package func openRoom() -> Bool {
    if rooms.wrappingAdd(1, ordering: .relaxed).newValue <= maximum { return true }
    closeRoom()
    return false
  }

  package func closeRoom() { rooms.wrappingSubtract(1, ordering: .relaxed) }
}
