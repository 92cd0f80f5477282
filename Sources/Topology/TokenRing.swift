// All virtual nodes by rising token. A key belongs to the first virtual node at or after its token,
// or to the very first one past the end.
//
// Cost: a lookup is a binary search over a contiguous array of integers (log2 of the number of
// virtual nodes; 48 of them in a ring of three).

package import Model

/// The sorted ring of virtual nodes. Immutable.
package struct TokenRing: Sendable {
    /// Rising, each token once.
    package let tokens: [Token]
    /// Who owns the token of the same position.
    package let owners: [NodeIndex]

    /// The ring of these nodes, whose positions in `tokensOfNodes` are their indexes. Should two
    /// nodes claim one token, the node with the lower index (thus the lower host id) has it.
    package init(tokensOfNodes: [[Token]]) {
        var pairs: [(token: Token, owner: NodeIndex)] = []
        for (index, tokens) in tokensOfNodes.enumerated() {
            for token in tokens { pairs.append((token, NodeIndex(index))) }
        }
        pairs.sort { ($0.token, $0.owner) < ($1.token, $1.owner) }
        var tokens: [Token] = []
        var owners: [NodeIndex] = []
        tokens.reserveCapacity(pairs.count)
        owners.reserveCapacity(pairs.count)
        for pair in pairs where tokens.last != pair.token {
            tokens.append(pair.token)
            owners.append(pair.owner)
        }
        self.tokens = tokens
        self.owners = owners
    }

    /// How many virtual nodes there are.
    @inlinable package var count: Int { tokens.count }
    @inlinable package var isEmpty: Bool { tokens.isEmpty }

    /// The position of the virtual node that a token belongs to. The ring must not be empty.
    @inlinable
    package func position(of token: Token) -> Int {
        var low = 0
        var high = tokens.count
        while low < high {
            let middle = (low + high) / 2
            if tokens[middle] < token { low = middle + 1 } else { high = middle }
        }
        return low == tokens.count ? 0 : low
    }

    /// The tokens that belong to the virtual node at `position`.
    package func range(at position: Int) -> TokenRange {
        TokenRange(
            start: tokens[position == 0 ? tokens.count - 1 : position - 1], end: tokens[position])
    }
}
