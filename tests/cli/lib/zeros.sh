# distilbert_of_zeros DIR [classifier]: a tiny DistilBERT directory, of base model or classifier, whose weights
# are zeros. Made by the shell, so that command-line tests need no Python. To be sourced.

# Lines "name shape" on stdin become a safetensors file of zeros on stdout.
safetensors_of_zeros() {
    local name shape bytes=0 end header='{' size n LC_ALL=C # lengths in bytes
    while read -r name shape; do
        size=4
        for n in ${shape//,/ }; do size=$((size * n)); done
        end=$((bytes + size))
        header+="\"$name\":{\"dtype\":\"F32\",\"shape\":[$shape],\"data_offsets\":[$bytes,$end]},"
        bytes=$end
    done
    header=${header%,}'}'
    # eight bytes: the length of the header, the lowest byte first
    n=${#header}
    printf "$(printf '\\x%02x\\x%02x\\0\\0\\0\\0\\0\\0' $((n % 256)) $((n / 256)))"
    printf '%s' "$header"
    head -c "$bytes" /dev/zero
}

distilbert_tensors() {
    local layer=transformer.layer.0 part norm
    printf 'embeddings.%s\n' 'word_embeddings.weight 12,8' 'position_embeddings.weight 512,8' \
        'LayerNorm.weight 8' 'LayerNorm.bias 8'
    for part in q k v out; do
        printf "$layer.attention.${part}_lin.%s\n" 'weight 8,8' 'bias 8'
    done
    printf "$layer.ffn.%s\n" 'lin1.weight 16,8' 'lin1.bias 16' 'lin2.weight 8,16' 'lin2.bias 8'
    for norm in sa output; do
        printf "$layer.${norm}_layer_norm.%s\n" 'weight 8' 'bias 8'
    done
}

classifier_tensors() {
    distilbert_tensors | sed 's/^/distilbert./'
    printf '%s\n' 'pre_classifier.weight 8,8' 'pre_classifier.bias 8' 'classifier.weight 2,8' 'classifier.bias 2'
}

distilbert_of_zeros() {
    local dir=$1 sizes='"vocab_size":12,"dim":8,"n_heads":2,"n_layers":1,"hidden_dim":16'
    mkdir -p "$dir"
    printf '%s\n' '[PAD]' '[UNK]' '[CLS]' '[SEP]' '[MASK]' the quick in this not it is >"$dir/vocab.txt"
    if [ "${2:-}" = classifier ]; then
        echo '{"model_type":"distilbert","architectures":["DistilBertForSequenceClassification"],' \
            '"id2label":{"0":"negative","1":"positive"},'"$sizes}" >"$dir/config.json"
        classifier_tensors | safetensors_of_zeros >"$dir/model.safetensors"
    else
        echo '{"model_type":"distilbert",'"$sizes}" >"$dir/config.json"
        distilbert_tensors | safetensors_of_zeros >"$dir/model.safetensors"
    fi
}

gpt2_tensors() {
    local norm
    printf '%s\n' 'wte.weight 12,8' 'wpe.weight 16,8'
    for norm in h.0.ln_1 h.0.ln_2 ln_f; do printf "$norm.%s\n" 'weight 8' 'bias 8'; done
    printf 'h.0.%s\n' 'attn.c_attn.weight 8,24' 'attn.c_attn.bias 24' 'attn.c_proj.weight 8,8' \
        'attn.c_proj.bias 8' 'mlp.c_fc.weight 8,32' 'mlp.c_fc.bias 32' 'mlp.c_proj.weight 32,8' \
        'mlp.c_proj.bias 8'
}

# gpt2_of_zeros DIR [KEYS]: a tiny GPT-2 of 12 words and 16 positions, whose likeliest token is always 0; KEYS
# are more of its config.json.
gpt2_of_zeros() {
    local dir=$1
    mkdir -p "$dir"
    echo '{"model_type":"gpt2","vocab_size":12,"n_embd":8,"n_head":2,"n_layer":1,"n_positions":16'"${2:+,$2}}" \
        >"$dir/config.json"
    gpt2_tensors | safetensors_of_zeros >"$dir/model.safetensors"
}
